//! Programs of others, where they are installed: each configured to do what the others do, and no more.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::{Around, Competitor, Part};
use crate::Result;
use crate::job::copy::{self, COPY};
use crate::workload::{FILES, KV};

/// A server that says nothing when it is ready: it can be reached when it can be connected to.
#[derive(Debug)]
pub(crate) struct Installed {
    /// The program, somewhere on the path.
    pub(crate) program: &'static str,
    /// Its arguments, for an address to listen on; what it needs may be written to the directory.
    pub(crate) configure: fn(SocketAddr, &Around) -> Result<Vec<OsString>>,
}

impl Installed {
    /// Whether the path leads to it.
    pub(crate) fn is_here(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(self.program).is_file())
    }
}

pub(super) static REDIS: Competitor = Competitor {
    name: "redis",
    about: "redis-server, without persistence",
    parts: &[(&KV, Part::Installed(&Installed { program: "redis-server", configure: redis }))],
};

pub(super) static NGINX: Competitor = Competitor {
    name: "nginx",
    about: "nginx, one process, without logs",
    parts: &[(&FILES, Part::Installed(&Installed { program: "nginx", configure: nginx }))],
};

pub(super) static COREUTILS: Competitor = Competitor {
    name: "coreutils",
    about: "cp of the system",
    parts: &[(&COPY, Part::WorkWith(None, copy::programs::coreutils))],
};

fn redis(address: SocketAddr, around: &Around) -> Result<Vec<OsString>> {
    let (port, host) = (address.port().to_string(), address.ip().to_string());
    let mut arguments: Vec<OsString> =
        ["--port", &port, "--bind", &host, "--save", "", "--appendonly", "no", "--dir"]
            .map(Into::into)
            .into();
    arguments.push(around.dir.clone().into());
    Ok(arguments)
}

/// It looks at a file again after a second, as the others do.
fn nginx(address: SocketAddr, around: &Around) -> Result<Vec<OsString>> {
    let root: &Path = &around.dir;
    let path = root.display();
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path {path}/{name};\n"))
        .collect();
    let configuration = format!(
        "daemon off;
master_process off;
worker_processes 1;
error_log stderr error;
pid {path}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
{folders}    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=1000;
    open_file_cache_valid 1s;
    default_type application/octet-stream;
    server {{
        listen {address};
        root {path};
    }}
}}
"
    );
    let file = root.join("nginx.conf");
    std::fs::write(&file, configuration)?;
    Ok(vec!["-p".into(), root.into(), "-c".into(), file.into()])
}
