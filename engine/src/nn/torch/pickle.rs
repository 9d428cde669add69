//! A reader for the pickle in which torch lists tensors, and for nothing that runs.
//!
//! A pickle is a program for a small machine, and a general reader runs whatever it says. This one knows the
//! instructions that build dictionaries, lists, texts and numbers, and of all functions a pickle may call only those that
//! put a tensor together or make an ordered dictionary; it carries them out itself, by writing down where the numbers lie.
//! Any other function is taken as a mark without meaning, and calling it makes nothing that is read.

use std::collections::HashMap;
use std::rc::Rc;

/// How a storage's numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F16,
    Bf16,
    F32,
    F64,
    /// Whole numbers and truths: not weights.
    Other,
}

/// A tensor: which entry holds its numbers, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// The storage's own name.
    pub(super) storage: String,
    /// Numbers before the first.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// Numbers from one place to the next along each dimension.
    pub(super) strides: Vec<usize>,
}

/// What a pickle holds, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Rc<str>),
    Int(i64),
    Tuple(Rc<[Value]>),
    /// Index into the machine's dictionaries.
    Dict(usize),
    /// Index into the machine's lists, which hold nothing that is asked for.
    List,
    Function(Function),
    Storage(Rc<(Kind, String)>),
    Tensor(Rc<Entry>),
    /// Anything else.
    Nothing,
    Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
    Storage(Kind),
    /// One that is not called here.
    Unknown,
}

/// Dictionaries of a pickle, and which of them is the whole.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) dicts: Vec<Vec<(Rc<str>, Value)>>,
    pub(super) root: Value,
}

type Step<T> = Result<T, String>;

/// Reads a pickle.
///
/// # Errors
/// What is wrong with it, and at which byte.
pub(super) fn read(bytes: &[u8]) -> Step<Pickle> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), memo: HashMap::new(), dicts: Vec::new() };
    loop {
        let instruction = machine.byte()?;
        if instruction == b'.' {
            let root = machine.pop()?;
            return Ok(Pickle { dicts: machine.dicts, root });
        }
        machine.step(instruction)?;
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: HashMap<u64, Value>,
    dicts: Vec<Vec<(Rc<str>, Value)>>,
}

impl Machine<'_> {
    fn step(&mut self, instruction: u8) -> Step<()> {
        match instruction {
            // Protocol and frames carry no value.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.number(8)?),
            b'N' | 0x88 | 0x89 => self.stack.push(Value::Nothing),
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => {
                let value = self.number(4)? as u32 as i32;
                self.stack.push(Value::Int(i64::from(value)));
            }
            0x8a => {
                let len = self.size(1)?;
                let bytes = self.take(len)?;
                let mut value = [if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 }; 8];
                let whole = value.get_mut(..bytes.len()).map(|to| to.copy_from_slice(bytes)).is_some();
                self.stack.push(if whole { Value::Int(i64::from_le_bytes(value)) } else { Value::Nothing });
            }
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Nothing);
            }
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b'U' | b'C' => self.skip(1)?,
            b'T' | b'B' => self.skip(4)?,
            0x8e => self.skip(8)?,
            // Tuples and lists.
            b')' => self.tuple(0)?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b'(' => self.stack.push(Value::Mark),
            b't' => {
                let items = self.since_mark()?;
                self.stack.push(Value::Tuple(items.into()));
            }
            b']' | 0x8f => self.stack.push(Value::List),
            b'l' | 0x91 => {
                self.since_mark()?;
                self.stack.push(Value::List);
            }
            b'a' => drop(self.pop()?),
            b'e' | 0x90 => drop(self.since_mark()?),
            b'0' => drop(self.pop()?),
            // Dictionaries.
            b'}' => self.dict(),
            b'd' => {
                let items = self.since_mark()?;
                self.dict();
                self.set(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(items)?;
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
                self.stack.push(Value::Function(function(&module, &name)));
            }
            0x93 => {
                let found = match (self.pop()?, self.pop()?) {
                    (Value::Text(name), Value::Text(module)) => function(&module, &name),
                    _ => Function::Unknown,
                };
                self.stack.push(Value::Function(found));
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = storage(&id).ok_or_else(|| self.problem("a storage without its name"))?;
                self.stack.push(storage);
            }
            b'R' | 0x81 => self.call()?,
            // A state given to what was made: names of versions, settings of optimisers.
            b'b' => drop(self.pop()?),
            other => return Err(self.problem(&format!("the instruction {other:#04x}"))),
        }
        Ok(())
    }

    fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Tuple(arguments) = arguments else {
            return Err(self.problem("a call without arguments"));
        };
        match function {
            Value::Function(Function::OrderedDict) => {
                self.dict();
                return Ok(());
            }
            Value::Function(Function::RebuildTensor) => {
                let made = tensor(&arguments).ok_or_else(|| self.problem("a tensor without its parts"))?;
                self.stack.push(Value::Tensor(Rc::new(made)));
            }
            Value::Function(Function::RebuildParameter) => {
                self.stack.push(arguments.first().cloned().unwrap_or(Value::Nothing));
            }
            _ => self.stack.push(Value::Nothing),
        }
        Ok(())
    }

    fn dict(&mut self) {
        self.stack.push(Value::Dict(self.dicts.len()));
        self.dicts.push(Vec::new());
    }

    /// Adds keys and values to the dictionary on top; to what is none, they are lost.
    fn set(&mut self, items: Vec<Value>) -> Step<()> {
        let target = match self.stack.last() {
            Some(Value::Dict(index)) => self.dicts.get_mut(*index),
            Some(Value::Mark) | None => return Err(self.problem("entries outside a dictionary")),
            Some(_) => None,
        };
        let Some(dict) = target else { return Ok(()) };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            if let Value::Text(key) = key {
                dict.push((key, value));
            }
        }
        Ok(())
    }

    fn tuple(&mut self, n: usize) -> Step<()> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
        items.reverse();
        self.stack.push(Value::Tuple(items.into()));
        Ok(())
    }

    fn since_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self
            .stack
            .iter()
            .rposition(|value| matches!(value, Value::Mark))
            .ok_or_else(|| self.problem("an end without its beginning"))?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn pop(&mut self) -> Step<Value> {
        match self.stack.pop() {
            Some(Value::Mark) | None => Err(self.problem("an instruction without its value")),
            Some(value) => Ok(value),
        }
    }

    fn remember(&mut self, slot: u64) -> Step<()> {
        match self.stack.last() {
            Some(Value::Mark) | None => Err(self.problem("nothing to remember")),
            Some(value) => {
                self.memo.insert(slot, value.clone());
                Ok(())
            }
        }
    }

    fn recall(&mut self, slot: u64) -> Step<()> {
        match self.memo.get(&slot) {
            Some(value) => {
                self.stack.push(value.clone());
                Ok(())
            }
            None => Err(self.problem("a value that was not remembered")),
        }
    }

    fn int(&mut self, bytes: usize) -> Step<()> {
        let value = self.number(bytes)?;
        self.stack.push(Value::Int(value as i64));
        Ok(())
    }

    fn text(&mut self, len_bytes: usize) -> Step<()> {
        let len = self.size(len_bytes)?;
        let text = std::str::from_utf8(self.take(len)?).map(Rc::from);
        let text = text.map_err(|_| self.problem("a text that is none"))?;
        self.stack.push(Value::Text(text));
        Ok(())
    }

    fn skip(&mut self, len_bytes: usize) -> Step<()> {
        let len = self.size(len_bytes)?;
        self.take(len)?;
        self.stack.push(Value::Nothing);
        Ok(())
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn number(&mut self, bytes: usize) -> Step<u64> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn size(&mut self, bytes: usize) -> Step<usize> {
        let value = self.number(bytes)?;
        usize::try_from(value).map_err(|_| self.problem("a length beyond memory"))
    }

    fn line(&mut self) -> Step<String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len =
            rest.iter().position(|&b| b == b'\n').ok_or_else(|| self.problem("a line without an end"))?;
        let line = String::from_utf8_lossy(self.take(len)?).into_owned();
        self.byte()?;
        Ok(line)
    }

    fn take(&mut self, n: usize) -> Step<&[u8]> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(self.problem("the end of the pickle")) };
        let taken = self.bytes.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(taken)
    }

    fn problem(&self, what: &str) -> String {
        format!("{what} at byte {}", self.at)
    }
}

fn function(module: &str, name: &str) -> Function {
    match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2") => Function::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Function::RebuildParameter,
        ("collections", "OrderedDict") => Function::OrderedDict,
        ("torch", storage) => Function::Storage(match storage {
            "HalfStorage" => Kind::F16,
            "BFloat16Storage" => Kind::Bf16,
            "FloatStorage" => Kind::F32,
            "DoubleStorage" => Kind::F64,
            _ => Kind::Other,
        }),
        _ => Function::Unknown,
    }
}

/// `("storage", its type, its name, device, numbers)`.
fn storage(id: &Value) -> Option<Value> {
    let Value::Tuple(items) = id else { return None };
    match &**items {
        [Value::Text(word), Value::Function(kind), Value::Text(name), ..] if &**word == "storage" => {
            let kind = if let Function::Storage(kind) = kind { *kind } else { Kind::Other };
            Some(Value::Storage(Rc::new((kind, name.to_string()))))
        }
        _ => None,
    }
}

/// `(storage, offset, shape, strides, …)`.
fn tensor(arguments: &[Value]) -> Option<Entry> {
    let [Value::Storage(storage), Value::Int(offset), shape, strides, ..] = arguments else { return None };
    let numbers = |value: &Value| -> Option<Vec<usize>> {
        let Value::Tuple(items) = value else { return None };
        items
            .iter()
            .map(|item| if let Value::Int(n) = item { usize::try_from(*n).ok() } else { None })
            .collect()
    };
    let (shape, strides) = (numbers(shape)?, numbers(strides)?);
    if shape.len() != strides.len() {
        return None;
    }
    let offset = usize::try_from(*offset).ok()?;
    Some(Entry { kind: storage.0, storage: storage.1.clone(), offset, shape, strides })
}
