//! Waiting for a future on a thread that may wait.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs `future` to its end on this thread. Not for the window's thread.
pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_future_woken_from_another_thread_ends() {
        let (sender, receiver) = std::sync::mpsc::channel::<std::task::Waker>();
        std::thread::spawn(move || receiver.recv().unwrap().wake());
        let mut asked = false;
        let value = super::wait_for(std::future::poll_fn(|cx| {
            if asked {
                return std::task::Poll::Ready(7);
            }
            asked = true;
            sender.send(cx.waker().clone()).unwrap();
            std::task::Poll::Pending
        }));
        assert_eq!(value, 7);
    }
}
