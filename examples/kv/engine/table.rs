//! The commands, how many arguments each has, and which keys it is about.
//!
//! # To add a command
//!
//! - A line in `commands!` below; `Grows` if it may need memory: it is refused when there is less room than its request is
//!   long. What it needs beside, a hole that is filled or a copy, it asks `store.memory` for itself.
//! - Its function in `commands/`, and the line in `commands::dispatch` that the compiler asks for. It checks everything first
//!   and changes something last; what it changes it tells to `store.journal` before, or a log loses it. A reply that is copied
//!   has to fit into `reply_room`. Both ways to serve call this one function.
//! - Tests: the model and the commands made up for it (`tests/kv_model/`), a line of the script in `tests/kv_clients.rs`, which
//!   fails if a command is not sent by it, and what it refuses in `tests/kv_protocol.rs`.

/// Where a command is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// With the connection: it is about no key.
    None,
    /// By the core that has its first argument as a key.
    First,
    /// By the core that the cursor in its first argument is one of.
    Cursor,
    /// By as many cores as its arguments have: each a key, and what it needs beside as many that follow.
    Each(usize),
    /// By all cores.
    All,
}

/// What is known about a command.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: Name,
    /// In small letters.
    pub(crate) text: &'static str,
    /// Arguments, its name included; if negative, at least as many.
    pub(crate) arity: i8,
    pub(crate) keys: Keys,
    pub(crate) effect: Effect,
}

/// What it does to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    /// Changes keys, and needs no more memory.
    Writes,
    /// Changes keys, and may need more memory.
    Grows,
}

impl Spec {
    /// Whether a command may have as many arguments.
    pub(crate) fn takes(&self, args: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { args >= wanted } else { args == wanted }
    }
}

macro_rules! commands {
    ($($name:ident $upper:literal $lower:literal $arity:literal $keys:expr, $effect:ident;)+) => {
        /// The name of a command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Name {
            $($name),+
        }

        /// All of them, in the order of [`Name`].
        pub(crate) const COMMANDS: &[Spec] = &[$(Spec {
            name: Name::$name,
            text: $lower,
            arity: $arity,
            keys: $keys,
            effect: Effect::$effect,
        }),+];

        const LONGEST: usize = {
            let (mut longest, mut i) = (0, 0);
            while i < COMMANDS.len() {
                if COMMANDS[i].text.len() > longest {
                    longest = COMMANDS[i].text.len();
                }
                i += 1;
            }
            longest
        };

        /// Looks a command up by its name in whatever letters.
        pub(crate) fn find(name: &[u8]) -> Option<&'static Spec> {
            let mut upper = [0; LONGEST];
            let upper = upper.get_mut(..name.len())?;
            upper.copy_from_slice(name);
            upper.make_ascii_uppercase();
            let name = match &*upper {
                $($upper => Name::$name,)+
                _ => return None,
            };
            Some(&COMMANDS[name as usize])
        }
    };
}

commands! {
    Get b"GET" "get" 2 Keys::First, Reads;
    Set b"SET" "set" -3 Keys::First, Grows;
    Setnx b"SETNX" "setnx" 3 Keys::First, Grows;
    Getset b"GETSET" "getset" 3 Keys::First, Grows;
    Getdel b"GETDEL" "getdel" 2 Keys::First, Writes;
    Append b"APPEND" "append" 3 Keys::First, Grows;
    Strlen b"STRLEN" "strlen" 2 Keys::First, Reads;
    Incr b"INCR" "incr" 2 Keys::First, Grows;
    Incrby b"INCRBY" "incrby" 3 Keys::First, Grows;
    Decr b"DECR" "decr" 2 Keys::First, Grows;
    Decrby b"DECRBY" "decrby" 3 Keys::First, Grows;
    Mget b"MGET" "mget" -2 Keys::Each(0), Reads;
    Mset b"MSET" "mset" -3 Keys::Each(1), Grows;
    Del b"DEL" "del" -2 Keys::Each(0), Writes;
    Unlink b"UNLINK" "unlink" -2 Keys::Each(0), Writes;
    Exists b"EXISTS" "exists" -2 Keys::Each(0), Reads;
    Expire b"EXPIRE" "expire" -3 Keys::First, Writes;
    Pexpire b"PEXPIRE" "pexpire" -3 Keys::First, Writes;
    Expireat b"EXPIREAT" "expireat" -3 Keys::First, Writes;
    Pexpireat b"PEXPIREAT" "pexpireat" -3 Keys::First, Writes;
    Ttl b"TTL" "ttl" 2 Keys::First, Reads;
    Pttl b"PTTL" "pttl" 2 Keys::First, Reads;
    Persist b"PERSIST" "persist" 2 Keys::First, Writes;
    Type b"TYPE" "type" 2 Keys::First, Reads;
    Keys b"KEYS" "keys" 2 Keys::All, Reads;
    Scan b"SCAN" "scan" -2 Keys::Cursor, Reads;
    Dbsize b"DBSIZE" "dbsize" 1 Keys::All, Reads;
    Flushall b"FLUSHALL" "flushall" -1 Keys::All, Writes;
    Flushdb b"FLUSHDB" "flushdb" -1 Keys::All, Writes;
    Lpush b"LPUSH" "lpush" -3 Keys::First, Grows;
    Rpush b"RPUSH" "rpush" -3 Keys::First, Grows;
    Lpop b"LPOP" "lpop" -2 Keys::First, Writes;
    Rpop b"RPOP" "rpop" -2 Keys::First, Writes;
    Llen b"LLEN" "llen" 2 Keys::First, Reads;
    Lrange b"LRANGE" "lrange" 4 Keys::First, Reads;
    Ping b"PING" "ping" -1 Keys::None, Reads;
    Echo b"ECHO" "echo" 2 Keys::None, Reads;
    Select b"SELECT" "select" 2 Keys::None, Reads;
    Quit b"QUIT" "quit" -1 Keys::None, Reads;
    Hello b"HELLO" "hello" -1 Keys::None, Reads;
    Info b"INFO" "info" -1 Keys::None, Reads;
    Config b"CONFIG" "config" -2 Keys::None, Reads;
    Command b"COMMAND" "command" -1 Keys::None, Reads;
    Client b"CLIENT" "client" -2 Keys::None, Reads;
    Publish b"PUBLISH" "publish" 3 Keys::All, Reads;
    Subscribe b"SUBSCRIBE" "subscribe" -2 Keys::None, Reads;
    Unsubscribe b"UNSUBSCRIBE" "unsubscribe" -1 Keys::None, Reads;
}
