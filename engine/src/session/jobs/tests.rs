//! Jobs one by one, without a worker behind them.

use super::*;
use crate::session::DataSource;

fn read(cell: usize) -> Command {
    Command::ReadCell { cell }
}

fn describe(cell: usize) -> Command {
    Command::Describe { cell, settings: crate::describe::GenerationSettings::default() }
}

fn setup() -> (Arc<Hub>, Outlet, Sender<Job>, Receiver<Job>) {
    let (hub, outlet) = Hub::new(8);
    let (queue, jobs) = bounded(4);
    (hub, outlet, queue, jobs)
}

fn drain(outlet: &Outlet) -> Vec<String> {
    std::iter::from_fn(|| outlet.try_next())
        .map(|event| match event {
            Event::Started { job, what } => format!("started {} {what}", job.0),
            Event::Finished { job } => format!("finished {}", job.0),
            Event::Stopped { job } => format!("stopped {}", job.0),
            Event::Failed { job, .. } => format!("failed {}", job.0),
            Event::Progressed { job, progress } => format!("progress {} {}", job.0, progress.done),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_panic_in_a_job_is_a_failed_event_with_its_message() {
    let (hub, outlet, queue, jobs) = setup();
    hub.send(read(1), &queue);
    assert!(hub.run(jobs.recv().unwrap(), |_, _| panic!("row {} is missing", 7)));
    match outlet.try_next() {
        Some(Event::Failed { error, .. }) => assert!(error.to_string().contains("row 7 is missing")),
        other => panic!("{other:?}"),
    }
    assert!(outlet.try_next().is_none());
}

#[test]
fn events_of_a_job_come_in_order_and_close_once() {
    let (hub, outlet, queue, jobs) = setup();
    hub.send(read(1), &queue);
    hub.run(jobs.recv().unwrap(), |ctx, _| {
        ctx.started("Reading")?;
        ctx.watch.step("Reading", 1, Some(9))?;
        ctx.watch.step("Reading", 2, Some(9))?;
        ctx.watch.step("Reading", 9, Some(9))
    });
    // The second step comes too soon after the first to be worth an event.
    assert_eq!(drain(&outlet), ["started 1 Reading", "progress 1 1", "progress 1 9", "finished 1"]);
}

#[test]
fn a_job_stopped_while_it_waits_is_over_at_once_and_never_runs() {
    let (hub, outlet, queue, jobs) = setup();
    let id = hub.send(describe(3), &queue);
    hub.stop(id);
    hub.stop(id);
    assert_eq!(drain(&outlet), ["stopped 1"]);
    hub.run(jobs.recv().unwrap(), |_, _| panic!("it must not run"));
    assert!(drain(&outlet).is_empty());
}

#[test]
fn a_new_description_ends_the_running_one_and_a_new_read_only_waiting_ones() {
    let (hub, outlet, queue, jobs) = setup();
    hub.send(describe(1), &queue);
    hub.run(jobs.recv().unwrap(), |ctx, _| {
        hub.send(describe(2), &queue);
        ctx.watch.check()
    });
    assert_eq!(drain(&outlet), ["stopped 1"]);
    let (hub, outlet, queue, jobs) = setup();
    hub.send(read(1), &queue);
    hub.run(jobs.recv().unwrap(), |ctx, _| {
        hub.send(read(2), &queue);
        hub.send(read(3), &queue);
        ctx.watch.check()
    });
    assert_eq!(drain(&outlet), ["stopped 2", "finished 1"]);
}

#[test]
fn another_file_ends_what_is_done_with_the_one_before_but_not_what_is_being_written() {
    let (hub, outlet, queue, jobs) = setup();
    hub.send(Command::ExportCsv { path: "cells.csv".into() }, &queue);
    hub.send(describe(1), &queue);
    hub.run(jobs.recv().unwrap(), |ctx, _| {
        hub.send(Command::Open(DataSource::Sample), &queue);
        ctx.watch.check()
    });
    assert_eq!(drain(&outlet), ["stopped 2", "finished 1"]);
}

#[test]
fn jobs_that_counted_on_a_file_that_does_not_open_are_stopped_with_it() {
    let (hub, outlet, queue, jobs) = setup();
    hub.send(Command::Open(DataSource::Sample), &queue);
    hub.send(read(1), &queue);
    let open = jobs.recv().unwrap();
    hub.run(open, |_, _| Err(Error::anndata(Problem::new("file", "text", "HDF5", "Choose an h5ad file."))));
    assert_eq!(drain(&outlet), ["stopped 2", "failed 1"]);
    // What is asked afterwards speaks of the data still open, and runs.
    hub.send(read(2), &queue);
    hub.run(jobs.recv().unwrap(), |_, _| panic!("it was stopped"));
    hub.run(jobs.recv().unwrap(), |_, _| Ok(()));
    assert_eq!(drain(&outlet), ["finished 3"]);
}

#[test]
fn a_full_queue_refuses_with_a_failed_event_instead_of_waiting() {
    let (hub, outlet, queue, _jobs) = setup();
    for gene in 0..5 {
        hub.send(Command::ColourByGene { gene }, &queue);
    }
    assert_eq!(drain(&outlet), ["failed 5"]);
}

#[test]
fn a_job_whose_events_nobody_takes_can_still_be_stopped() {
    let (hub, outlet, queue, jobs) = setup();
    let id = hub.send(read(1), &queue);
    let job = jobs.recv().unwrap();
    let worker = {
        let hub = hub.clone();
        std::thread::spawn(move || {
            hub.run(job, |ctx, _| {
                loop {
                    ctx.started("again")?;
                }
            })
        })
    };
    while outlet.events.len() < 8 {
        std::thread::yield_now();
    }
    hub.stop(id);
    // The closing event still needs room; the face makes it by taking one event.
    let mut seen = Vec::new();
    while !seen.iter().any(|e| e == "stopped 1") {
        seen.extend(drain(&outlet));
    }
    assert!(!worker.join().unwrap());
    // One event may have been on its way when the stop came.
    assert!(seen.len() <= 10, "{seen:?}");
}
