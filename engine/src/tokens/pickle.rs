//! A reader for pickled dictionaries of texts and numbers, and for nothing else.
//!
//! Geneformer ships its dictionaries as Python pickles. A pickle is a program for a small machine, and a general
//! reader runs whatever it says. This one knows the instructions that build a flat dictionary (protocols 2 to 5),
//! and of all functions a pickle may call only those that make numpy's scalars, which it carries out itself. Any
//! other instruction or function is an error that names it. Memory is bounded by the size of the input: every
//! value it makes costs at least a byte there, and texts are shared, not copied.

use std::collections::HashMap;
use std::rc::Rc;

use crate::error::Problem;

/// A value that a dictionary may hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    /// Python's `str`.
    Text(Rc<str>),
    /// Python's `bytes`.
    Bytes(Rc<[u8]>),
    /// An `int`, or a whole number of numpy's.
    Int(i64),
    /// A `float`, or one of numpy's.
    Float(f64),
    /// A `bool`.
    Bool(bool),
    /// `None`.
    None,
}

/// Tuples within tuples, at most: numpy's need two.
const MAX_DEPTH: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    NumpyScalar,
    NumpyDtype,
    CodecsEncode,
}

#[derive(Debug, Clone)]
enum Value {
    Scalar(Scalar),
    Tuple(Rc<[Value]>, usize),
    Function(Function),
    /// Index into the reader's dictionaries: the memo and the stack share one.
    Dict(usize),
    /// Index into the reader's number types.
    Dtype(usize),
    Mark,
}

/// A number type of numpy's.
#[derive(Debug, Clone, Copy)]
struct Dtype {
    kind: u8,
    bytes: usize,
    big_endian: bool,
}

type Step<T> = Result<T, Problem>;

/// The entries of the dictionary in a pickle, in their order; a key that stands twice comes twice.
///
/// # Errors
/// A [`Problem`] that names the instruction or function that does not belong into a dictionary, or the place
/// where the pickle breaks off.
pub(super) fn read(bytes: &[u8]) -> Step<Vec<(Scalar, Scalar)>> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        memo: HashMap::new(),
        dicts: Vec::new(),
        dtypes: Vec::new(),
    };
    machine.run()
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: HashMap<u64, Value>,
    dicts: Vec<Vec<(Scalar, Scalar)>>,
    dtypes: Vec<Dtype>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Step<Vec<(Scalar, Scalar)>> {
        if self.byte()? != 0x80 {
            return Err(self.problem("no protocol number"));
        }
        let protocol = self.byte()?;
        if !(2..=5).contains(&protocol) {
            return Err(self.problem(&format!("protocol {protocol}")));
        }
        loop {
            let instruction = self.byte()?;
            if instruction == b'.' {
                return match self.stack.pop() {
                    Some(Value::Dict(dict)) => {
                        Ok(self.dicts.get_mut(dict).map(std::mem::take).unwrap_or_default())
                    }
                    _ => Err(self.problem("something that is no dictionary")),
                };
            }
            self.step(instruction)?;
        }
    }

    fn step(&mut self, instruction: u8) -> Step<()> {
        match instruction {
            // PROTO again, FRAME: they carry no value.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.number(8)?),
            // Numbers, texts.
            b'N' => self.push(Scalar::None),
            0x88 => self.push(Scalar::Bool(true)),
            0x89 => self.push(Scalar::Bool(false)),
            b'K' => {
                let value = self.number(1)?;
                self.push(Scalar::Int(value as i64));
            }
            b'M' => {
                let value = self.number(2)?;
                self.push(Scalar::Int(value as i64));
            }
            b'J' => {
                let value = self.number(4)?;
                self.push(Scalar::Int(i64::from(value as u32 as i32)));
            }
            0x8a => {
                let len = self.number(1)?;
                self.long(len)?;
            }
            0x8b => {
                let len = self.number(4)?;
                self.long(len)?;
            }
            b'G' => {
                let bytes = self.array::<8>()?;
                self.push(Scalar::Float(f64::from_be_bytes(bytes)));
            }
            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'C' => self.raw(1)?,
            b'B' => self.raw(4)?,
            0x8e => self.raw(8)?,
            // Tuples.
            b')' => self.tuple(0)?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b'(' => self.stack.push(Value::Mark),
            b't' => {
                let items = self.since_mark()?;
                self.push_tuple(items)?;
            }
            // Dictionaries.
            b'}' => {
                self.stack.push(Value::Dict(self.dicts.len()));
                self.dicts.push(Vec::new());
            }
            b'd' => {
                let items = self.since_mark()?;
                self.stack.push(Value::Dict(self.dicts.len()));
                self.dicts.push(Vec::new());
                self.set_items(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set_items(items)?;
            }
            // The memo.
            0x94 => self.remember(self.memo.len() as u64)?,
            b'q' => {
                let slot = self.number(1)?;
                self.remember(slot)?;
            }
            b'r' => {
                let slot = self.number(4)?;
                self.remember(slot)?;
            }
            b'h' => {
                let slot = self.number(1)?;
                self.recall(slot)?;
            }
            b'j' => {
                let slot = self.number(4)?;
                self.recall(slot)?;
            }
            // Functions.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.function(&module, &name)?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Scalar(Scalar::Text(name)), Value::Scalar(Scalar::Text(module))) => {
                    self.function(&module, &name)?;
                }
                _ => return Err(self.problem("a function whose name is no text")),
            },
            b'R' => self.call()?,
            b'b' => self.build()?,
            other => return Err(self.problem(&format!("the instruction {other:#04x}"))),
        }
        Ok(())
    }

    fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Function(function), Value::Tuple(arguments, _)) = (function, arguments) else {
            return Err(self.problem("a call of what is no function"));
        };
        let value = match (function, &*arguments) {
            (Function::NumpyDtype, [Value::Scalar(Scalar::Text(code)), ..]) => {
                let dtype = self.dtype(code)?;
                self.dtypes.push(dtype);
                Value::Dtype(self.dtypes.len() - 1)
            }
            (Function::NumpyScalar, [Value::Dtype(dtype), Value::Scalar(Scalar::Bytes(bytes))]) => {
                match self.dtypes.get(*dtype).and_then(|dtype| dtype.decode(bytes)) {
                    Some(scalar) => Value::Scalar(scalar),
                    None => return Err(self.problem("a number of numpy's of the wrong length")),
                }
            }
            // Protocol 2 has no bytes: it writes them as text to be encoded, one character a byte.
            (
                Function::CodecsEncode,
                [Value::Scalar(Scalar::Text(text)), Value::Scalar(Scalar::Text(codec))],
            ) if &**codec == "latin1" => {
                let bytes: Option<Vec<u8>> =
                    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
                match bytes {
                    Some(bytes) => Value::Scalar(Scalar::Bytes(bytes.into())),
                    None => return Err(self.problem("bytes beyond 255")),
                }
            }
            (function, _) => {
                return Err(self.problem(&format!("a call of {function:?} with other arguments")));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    /// Gives a number type its byte order.
    fn build(&mut self) -> Step<()> {
        let state = self.pop()?;
        let order = match &state {
            Value::Tuple(items, _) => match items.get(1) {
                Some(Value::Scalar(Scalar::Text(order))) => order.clone(),
                _ => return Err(self.problem("a number type without byte order")),
            },
            _ => return Err(self.problem("a state that is no tuple")),
        };
        let Some(Value::Dtype(dtype)) = self.stack.last() else {
            return Err(self.problem("a state for what has none"));
        };
        if let Some(dtype) = self.dtypes.get_mut(*dtype) {
            dtype.big_endian = &*order == ">" || (&*order == "=" && cfg!(target_endian = "big"));
        }
        Ok(())
    }

    fn dtype(&self, code: &str) -> Step<Dtype> {
        let (big_endian, bare) = match code.strip_prefix('>') {
            Some(bare) => (true, bare),
            None => (false, code.trim_start_matches(['<', '=', '|'])),
        };
        match bare.as_bytes() {
            [kind @ (b'i' | b'u'), size @ (b'1' | b'2' | b'4' | b'8')]
            | [kind @ b'f', size @ (b'4' | b'8')] => {
                Ok(Dtype { kind: *kind, bytes: usize::from(size - b'0'), big_endian })
            }
            _ => Err(self.problem(&format!("numbers of numpy's type {code:?}"))),
        }
    }

    fn function(&mut self, module: &str, name: &str) -> Step<()> {
        let function = match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Function::NumpyScalar,
            ("numpy", "dtype") => Function::NumpyDtype,
            ("_codecs", "encode") => Function::CodecsEncode,
            _ => return Err(self.problem(&format!("the function {module}.{name}"))),
        };
        self.stack.push(Value::Function(function));
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Step<()> {
        let Some(Value::Dict(dict)) = self.stack.last().cloned() else {
            return Err(self.problem("entries outside a dictionary"));
        };
        if !items.len().is_multiple_of(2) {
            return Err(self.problem("a key without a value"));
        }
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let (Value::Scalar(key), Value::Scalar(value)) = (key, value) else {
                return Err(self.problem("an entry that is neither text nor number"));
            };
            if let Some(dict) = self.dicts.get_mut(dict) {
                dict.push((key, value));
            }
        }
        Ok(())
    }

    fn push(&mut self, scalar: Scalar) {
        self.stack.push(Value::Scalar(scalar));
    }

    fn pop(&mut self) -> Step<Value> {
        match self.stack.pop() {
            Some(Value::Mark) | None => Err(self.problem("an instruction without its value")),
            Some(value) => Ok(value),
        }
    }

    fn since_mark(&mut self) -> Step<Vec<Value>> {
        match self.stack.iter().rposition(|value| matches!(value, Value::Mark)) {
            Some(mark) => {
                let items = self.stack.split_off(mark + 1);
                self.stack.pop();
                Ok(items)
            }
            None => Err(self.problem("an end without its beginning")),
        }
    }

    fn tuple(&mut self, len: usize) -> Step<()> {
        let mut items = (0..len).map(|_| self.pop()).collect::<Step<Vec<Value>>>()?;
        items.reverse();
        self.push_tuple(items)
    }

    fn push_tuple(&mut self, items: Vec<Value>) -> Step<()> {
        let inner = items.iter().map(|item| if let Value::Tuple(_, depth) = item { *depth } else { 0 }).max();
        let depth = inner.unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            return Err(self.problem("tuples nested too deep"));
        }
        self.stack.push(Value::Tuple(items.into(), depth));
        Ok(())
    }

    fn remember(&mut self, slot: u64) -> Step<()> {
        match self.stack.last() {
            Some(Value::Mark) | None => Err(self.problem("nothing to remember")),
            Some(value) => {
                let value = value.clone();
                self.memo.insert(slot, value);
                Ok(())
            }
        }
    }

    fn recall(&mut self, slot: u64) -> Step<()> {
        match self.memo.get(&slot) {
            Some(value) => {
                let value = value.clone();
                self.stack.push(value);
                Ok(())
            }
            None => Err(self.problem("a memory never made")),
        }
    }

    fn long(&mut self, len: u64) -> Step<()> {
        let bytes = self.take(len)?;
        if bytes.len() > 8 {
            return Err(self.problem("a whole number beyond 64 bits"));
        }
        let filling = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut whole = [filling; 8];
        whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.push(Scalar::Int(i64::from_le_bytes(whole)));
        Ok(())
    }

    fn text(&mut self, len_bytes: usize) -> Step<()> {
        let len = self.number(len_bytes)?;
        let bytes = self.take(len)?;
        let text: Rc<str> =
            std::str::from_utf8(bytes).map_err(|_| self.problem("a text that is not UTF-8"))?.into();
        self.push(Scalar::Text(text));
        Ok(())
    }

    fn raw(&mut self, len_bytes: usize) -> Step<()> {
        let len = self.number(len_bytes)?;
        let bytes: Rc<[u8]> = self.take(len)?.into();
        self.push(Scalar::Bytes(bytes));
        Ok(())
    }

    fn line(&mut self) -> Step<String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(len) = rest.iter().take(256).position(|byte| *byte == b'\n') else {
            return Err(self.problem("a name without end"));
        };
        let line = String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned();
        self.at += len + 1;
        Ok(line)
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.number(1)? as u8)
    }

    /// An unsigned number of `len` bytes, the lowest first; `len` is at most 8.
    fn number(&mut self, len: usize) -> Step<u64> {
        let bytes = self.take(len as u64)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let problem = self.problem("an end before its time");
        self.take(N as u64)?.try_into().map_err(|_| problem)
    }

    fn take(&mut self, len: u64) -> Step<&'a [u8]> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        match end.and_then(|end| self.bytes.get(self.at..end).map(|bytes| (bytes, end))) {
            Some((bytes, end)) => {
                self.at = end;
                Ok(bytes)
            }
            None => Err(self.problem("an end before its time")),
        }
    }

    fn problem(&self, found: &str) -> Problem {
        Problem::new(
            format!("the pickle, byte {}", self.at),
            found,
            "a dictionary of texts and numbers",
            "Choose a dictionary of Geneformer's, or give it as JSON. Nothing in the pickle was run.",
        )
    }
}

impl Dtype {
    fn decode(self, bytes: &[u8]) -> Option<Scalar> {
        if bytes.len() != self.bytes || !(1..=8).contains(&self.bytes) {
            return None;
        }
        let mut whole = [0_u8; 8];
        if self.big_endian {
            whole.iter_mut().zip(bytes.iter().rev()).for_each(|(to, from)| *to = *from);
        } else {
            whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        let bits = u64::from_le_bytes(whole);
        match (self.kind, self.bytes) {
            (b'f', 8) => Some(Scalar::Float(f64::from_bits(bits))),
            (b'f', 4) => Some(Scalar::Float(f64::from(f32::from_bits(bits as u32)))),
            (b'u', _) => i64::try_from(bits).ok().map(Scalar::Int),
            (b'i', _) => {
                let unused = 64 - 8 * self.bytes as u32;
                Some(Scalar::Int((bits << unused) as i64 >> unused))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `{"ENSG1": 3, "ENSG2": np.int16(-2), "m": np.float64(0.5)}` by Python's pickle, protocols 2 and 4.
    const PROTOCOL_2: &[u8] = b"\x80\x02}q\x00(X\x05\x00\x00\x00ENSG1q\x01K\x03X\x05\x00\x00\x00ENSG2q\x02cnumpy._core.multiarray\nscalar\nq\x03cnumpy\ndtype\nq\x04X\x02\x00\x00\x00i2q\x05\x89\x88\x87q\x06Rq\x07(K\x03X\x01\x00\x00\x00<q\x08NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x09bc_codecs\nencode\nq\nX\x04\x00\x00\x00\xc3\xbe\xc3\xbfq\x0bX\x06\x00\x00\x00latin1q\x0c\x86q\x0dRq\x0e\x86q\x0fRq\x10X\x01\x00\x00\x00mq\x11h\x03h\x04X\x02\x00\x00\x00f8q\x12\x89\x88\x87q\x13Rq\x14(K\x03h\x08NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x15bh\nX\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc3\xa0?q\x16h\x0c\x86q\x17Rq\x18\x86q\x19Rq\x1au.";
    const PROTOCOL_4: &[u8] = b"\x80\x04\x95\xb3\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x05ENSG1\x94K\x03\x8c\x05ENSG2\x94\x8c\x16numpy._core.multiarray\x94\x8c\x06scalar\x94\x93\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94\x8c\x02i2\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bC\x02\xfe\xff\x94\x86\x94R\x94\x8c\x01m\x94h\x05h\x08\x8c\x02f8\x94\x89\x88\x87\x94R\x94(K\x03h\x0cNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bC\x08\x00\x00\x00\x00\x00\x00\xe0?\x94\x86\x94R\x94u.";

    fn text(text: &str) -> Scalar {
        Scalar::Text(text.into())
    }

    #[test]
    fn dictionaries_with_numpy_scalars_are_read_in_every_protocol() {
        let expected = vec![
            (text("ENSG1"), Scalar::Int(3)),
            (text("ENSG2"), Scalar::Int(-2)),
            (text("m"), Scalar::Float(0.5)),
        ];
        assert_eq!(read(PROTOCOL_2).unwrap(), expected);
        assert_eq!(read(PROTOCOL_4).unwrap(), expected);
    }

    #[test]
    fn a_function_of_pythons_is_named_and_not_run() {
        let cases: [(&[u8], &str); 6] = [
            (b"\x80\x02cos\nsystem\n(X\x04\0\0\0echotR.", "os.system"),
            (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "builtins.eval"),
            (b"\x80\x02]q\0.", "0x5d"),
            (b"\x80\x00.", "protocol 0"),
            (b"\x80\x02K\x01.", "no dictionary"),
            (b"\x80\x02}X\xff\xff\xff\xff", "end before"),
        ];
        for (bytes, part) in cases {
            let problem = read(bytes).unwrap_err();
            assert!(problem.found.contains(part), "{problem}");
        }
    }

    #[test]
    fn nesting_and_lengths_are_bounded() {
        let deep = [b"\x80\x02)".as_slice(), &[0x85; 100_000]].concat();
        assert!(read(&deep).unwrap_err().found.contains("deep"));
        assert!(read(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
        assert!(read(b"\x80\x02\x8b\xff\xff\xff\xff").is_err());
        assert!(read(b"").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let _ = read(&[b"\x80\x04".as_slice(), &bytes].concat());
        }

        #[test]
        fn a_damaged_pickle_never_panics(at in 0_usize..400, byte in any::<u8>(), end in 0_usize..400) {
            for whole in [PROTOCOL_2, PROTOCOL_4] {
                let mut bytes = whole.to_vec();
                let len = bytes.len();
                bytes[at % len] = byte;
                bytes.truncate(len - end % len);
                let _ = read(&bytes);
            }
        }
    }
}
