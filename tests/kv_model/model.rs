//! What the commands are to do, as plainly as it can be said.

use std::collections::{HashMap, VecDeque};

use crate::common::resp::Reply;

#[derive(Clone, Debug)]
enum Value {
    Text(Vec<u8>),
    List(VecDeque<Vec<u8>>),
}

#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    /// It will end, long after the test.
    ends: bool,
}

/// All keys.
#[derive(Debug, Default)]
pub(crate) struct Model(HashMap<Vec<u8>, Entry>);

fn wrong_type() -> Reply {
    Reply::Error("WRONGTYPE".to_owned())
}

fn error() -> Reply {
    Reply::Error("ERR".to_owned())
}

fn int(n: usize) -> Reply {
    Reply::Int(n as i64)
}

fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

impl Model {
    fn text(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Reply> {
        match self.0.get(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(Value::List(_)) => Err(wrong_type()),
        }
    }

    fn list(&mut self, key: &[u8]) -> Result<Option<&mut VecDeque<Vec<u8>>>, Reply> {
        match self.0.get_mut(key).map(|entry| &mut entry.value) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(Value::Text(_)) => Err(wrong_type()),
        }
    }

    fn put(&mut self, key: &[u8], text: Vec<u8>, ends: bool) {
        self.0.insert(key.to_vec(), Entry { value: Value::Text(text), ends });
    }

    fn ends(&self, key: &[u8]) -> bool {
        self.0.get(key).is_some_and(|entry| entry.ends)
    }

    /// What a command gives. Of TTL 1 if there is any; KEYS in order of the alphabet.
    pub(crate) fn run(&mut self, args: &[Vec<u8>]) -> Reply {
        self.command(args).unwrap_or_else(|refused| refused)
    }

    fn command(&mut self, args: &[Vec<u8>]) -> Result<Reply, Reply> {
        let name = String::from_utf8(args[0].to_ascii_uppercase()).unwrap();
        let key = args.get(1).map_or(&[][..], |key| key);
        Ok(match (name.as_str(), &args[1..]) {
            ("GET", [_]) => Reply::Bulk(self.text(key)?),
            ("SET", [_, text, options @ ..]) => return self.set(key, text, options),
            ("SETNX", [_, text]) => {
                let new = !self.0.contains_key(key);
                if new {
                    self.put(key, text.clone(), false);
                }
                int(new.into())
            }
            ("GETSET", [_, text]) => {
                let old = self.text(key)?;
                self.put(key, text.clone(), false);
                Reply::Bulk(old)
            }
            ("GETDEL", [_]) => {
                let old = self.text(key)?;
                self.0.remove(key);
                Reply::Bulk(old)
            }
            ("APPEND", [_, more]) => {
                let mut text = self.text(key)?.unwrap_or_default();
                text.extend(more);
                let (len, ends) = (text.len(), self.ends(key));
                self.put(key, text, ends);
                int(len)
            }
            ("STRLEN", [_]) => int(self.text(key)?.map_or(0, |text| text.len())),
            ("INCR", [_]) => return self.add(key, Some(1)),
            ("DECR", [_]) => return self.add(key, Some(-1)),
            ("INCRBY", [_, by]) => return self.add(key, number(by)),
            ("DECRBY", [_, by]) => return self.add(key, number(by).and_then(i64::checked_neg)),
            ("MGET", keys) => {
                Reply::array(keys.iter().map(|key| Reply::Bulk(self.text(key).unwrap_or(None))))
            }
            ("MSET", pairs) if pairs.len() % 2 == 0 => {
                pairs.chunks(2).for_each(|pair| self.put(&pair[0], pair[1].clone(), false));
                Reply::ok()
            }
            ("DEL" | "UNLINK", keys) => int(keys.iter().filter(|key| self.0.remove(*key).is_some()).count()),
            ("EXISTS", keys) => int(keys.iter().filter(|key| self.0.contains_key(*key)).count()),
            ("EXPIRE" | "PEXPIRE", [_, time]) => {
                let time = number(time).ok_or_else(error)?;
                let found = self.0.contains_key(key);
                if time <= 0 {
                    self.0.remove(key);
                } else if let Some(entry) = self.0.get_mut(key) {
                    entry.ends = true;
                }
                int(found.into())
            }
            ("TTL" | "PTTL", [_]) => Reply::Int(match self.0.get(key) {
                None => -2,
                Some(entry) if entry.ends => 1,
                Some(_) => -1,
            }),
            ("PERSIST", [_]) => {
                let ended = self.ends(key);
                if let Some(entry) = self.0.get_mut(key) {
                    entry.ends = false;
                }
                int(ended.into())
            }
            ("TYPE", [_]) => Reply::Simple(
                match self.0.get(key).map(|entry| &entry.value) {
                    None => "none",
                    Some(Value::Text(_)) => "string",
                    Some(Value::List(_)) => "list",
                }
                .to_owned(),
            ),
            ("KEYS", [_]) => {
                let mut keys: Vec<_> = self.0.keys().cloned().collect();
                keys.sort();
                Reply::array(keys.into_iter().map(Reply::bulk))
            }
            ("DBSIZE", []) => int(self.0.len()),
            ("FLUSHALL", []) => {
                self.0.clear();
                Reply::ok()
            }
            ("LPUSH" | "RPUSH", [_, items @ ..]) if !items.is_empty() => {
                self.list(key)?;
                let new = || Entry { value: Value::List(VecDeque::new()), ends: false };
                self.0.entry(key.to_vec()).or_insert_with(new);
                let list = self.list(key)?.unwrap();
                for item in items.iter().cloned() {
                    if name == "LPUSH" { list.push_front(item) } else { list.push_back(item) }
                }
                int(list.len())
            }
            ("LPOP" | "RPOP", [_, count @ ..]) if count.len() < 2 => {
                return self.pop(&name, key, count.first());
            }
            ("LLEN", [_]) => int(self.list(key)?.map_or(0, |list| list.len())),
            ("LRANGE", [_, from, to]) => {
                let (from, to) = (number(from).ok_or_else(error)?, number(to).ok_or_else(error)?);
                let list = self.list(key)?.cloned().unwrap_or_default();
                let at = |i: i64| if i < 0 { i + list.len() as i64 } else { i };
                let wanted = |i: &usize| *i as i64 >= at(from) && *i as i64 <= at(to);
                Reply::array((0..list.len()).filter(wanted).map(|i| Reply::bulk(&list[i])))
            }
            ("PING", []) => Reply::Simple("PONG".to_owned()),
            ("ECHO", [text]) => Reply::bulk(text),
            _ => error(),
        })
    }

    fn set(&mut self, key: &[u8], text: &[u8], options: &[Vec<u8>]) -> Result<Reply, Reply> {
        let has = |word: &str| options.iter().any(|option| option.eq_ignore_ascii_case(word.as_bytes()));
        if has("what") || has("NX") && has("XX") || has("EX") && has("KEEPTTL") {
            return Err(error());
        }
        let old = if has("GET") { Some(self.text(key)?) } else { None };
        let exists = self.0.contains_key(key);
        if has("NX") && exists || has("XX") && !exists {
            return Ok(Reply::Bulk(old.unwrap_or(None)));
        }
        let ends = has("EX") || has("KEEPTTL") && self.ends(key);
        self.put(key, text.to_vec(), ends);
        Ok(old.map_or(Reply::ok(), Reply::Bulk))
    }

    fn add(&mut self, key: &[u8], by: Option<i64>) -> Result<Reply, Reply> {
        let by = by.ok_or_else(error)?;
        let before = match self.text(key)? {
            Some(text) => number(&text).ok_or_else(error)?,
            None => 0,
        };
        let after = before.checked_add(by).ok_or_else(error)?;
        self.put(key, after.to_string().into_bytes(), self.ends(key));
        Ok(Reply::Int(after))
    }

    fn pop(&mut self, name: &str, key: &[u8], count: Option<&Vec<u8>>) -> Result<Reply, Reply> {
        let wanted = match count {
            Some(count) => Some(number(count).filter(|count| *count >= 0).ok_or_else(error)? as usize),
            None => None,
        };
        let Some(list) = self.list(key)? else {
            return Ok(if wanted.is_some() { Reply::Array(None) } else { Reply::Bulk(None) });
        };
        let mut taken = Vec::new();
        while taken.len() < wanted.unwrap_or(1) {
            let Some(item) = (if name == "LPOP" { list.pop_front() } else { list.pop_back() }) else { break };
            taken.push(Reply::bulk(item));
        }
        if list.is_empty() {
            self.0.remove(key);
        }
        Ok(if wanted.is_some() { Reply::array(taken) } else { taken.remove(0) })
    }
}
