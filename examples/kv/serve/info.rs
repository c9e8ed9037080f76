//! What the server tells about itself: INFO and CONFIG.

use std::fmt::Write;

use super::client::unknown_subcommand;
use super::core::Core;
use crate::engine::{Refusal, matches, upper};
use crate::protocol::{Command, Proto, Reply, Sink};

/// Of Redis, whose clients look at it to learn what a server can do.
pub(crate) const VERSION: &str = "7.0.0";

/// The text of INFO: of all sections, or of those that are named.
pub(super) fn text(core: &Core, command: &Command<'_>) -> String {
    let shared = &core.shared;
    let wanted = |section: &str| {
        let mut named = command.args_from(1);
        let all = |name: &[u8]| {
            ["all", "default", "everything", section].iter().any(|s| name.eq_ignore_ascii_case(s.as_bytes()))
        };
        named.len() == 0 || named.any(all)
    };
    let mut text = String::new();
    let mut section = |name: &str, fields: &[(&str, String)]| {
        if !wanted(name) {
            return;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        // Writing into a string does not fail.
        let _ = write!(text, "# {}{}\r\n", name[..1].to_ascii_uppercase(), &name[1..]);
        for (field, value) in fields {
            let _ = write!(text, "{field}:{value}\r\n");
        }
    };
    let uptime = shared.started.elapsed().as_secs();
    section(
        "server",
        &[
            ("redis_version", VERSION.to_owned()),
            ("redis_mode", "standalone".to_owned()),
            ("server_name", "chainring-kv".to_owned()),
            ("process_id", std::process::id().to_string()),
            ("tcp_port", shared.port.to_string()),
            ("cores", core.place.count.to_string()),
            ("uptime_in_seconds", uptime.to_string()),
            ("uptime_in_days", (uptime / 86_400).to_string()),
        ],
    );
    let clients = shared.sum(|counters| &counters.clients).to_string();
    section("clients", &[("connected_clients", clients), ("maxclients", shared.connections.to_string())]);
    let memory = &core.store.borrow().memory;
    section(
        "memory",
        &[
            ("used_memory", memory.used().to_string()),
            ("maxmemory", memory.limit().to_string()),
            ("maxmemory_policy", "noeviction".to_owned()),
        ],
    );
    let failed = core.store.borrow().read_only.is_some();
    section(
        "persistence",
        &[
            ("loading", "0".to_owned()),
            ("aof_enabled", u8::from(shared.folder.is_some()).to_string()),
            ("aof_last_write_status", if failed { "err" } else { "ok" }.to_owned()),
        ],
    );
    section(
        "stats",
        &[
            ("total_commands_processed", shared.sum(|counters| &counters.commands).to_string()),
            ("expired_keys", shared.sum(|counters| &counters.expired).to_string()),
        ],
    );
    section("replication", &[("role", "master".to_owned()), ("connected_slaves", "0".to_owned())]);
    let (keys, expires) = (shared.sum(|counters| &counters.keys), shared.sum(|counters| &counters.expiring));
    let db = ("db0", format!("keys={keys},expires={expires},avg_ttl=0"));
    section("keyspace", if keys == 0 { &[] } else { std::slice::from_ref(&db) });
    text
}

/// CONFIG: what it was started with can be seen, and not changed.
pub(super) fn config(
    core: &Core,
    proto: Proto,
    command: &Command<'_>,
    out: &mut impl Sink,
) -> Result<(), Refusal> {
    let shared = &core.shared;
    match (upper(command.arg(1)).as_slice(), command.len()) {
        (b"GET", 3..) => {
            let parameters = [
                ("appendonly", if shared.folder.is_some() { "yes" } else { "no" }.to_owned()),
                ("appendfsync", "always".to_owned()),
                ("databases", "1".to_owned()),
                ("maxclients", shared.connections.to_string()),
                ("maxmemory", core.store.borrow().memory.limit().to_string()),
                ("maxmemory-policy", "noeviction".to_owned()),
                ("port", shared.port.to_string()),
                ("proto-max-bulk-len", shared.limits.bulk.to_string()),
                ("save", String::new()),
                ("timeout", "0".to_owned()),
            ];
            let wanted = |name: &str| {
                command.args_from(2).any(|pattern| matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
            };
            let found: Vec<_> = parameters.iter().filter(|(name, _)| wanted(name)).collect();
            out.map(proto, found.len());
            for (name, value) in found {
                out.bulk(name.as_bytes());
                out.bulk(value.as_bytes());
            }
        }
        (b"RESETSTAT", 2) => out.ok(),
        (b"SET", 4..) => {
            let text = "ERR CONFIG SET is not supported: the server is configured when it is started";
            return Err(Refusal::Text(text.to_owned()));
        }
        (word, _) => return Err(unknown_subcommand("CONFIG", word)),
    }
    Ok(())
}
