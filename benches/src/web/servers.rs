//! The servers of files that are compared, each on one core.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::process::server::{Program, Running};

pub(super) struct Server {
    pub(super) name: &'static str,
    kind: Kind,
}

enum Kind {
    /// Takes `--listen`, and says when it can be reached.
    Ours(Program),
    /// nginx, for which a configuration is written.
    Nginx(PathBuf),
}

impl Server {
    /// Those that there are for the files of a directory.
    pub(super) fn all(root: &Path) -> Result<Vec<Server>> {
        let path = root.to_str().ok_or("the directory for temporary files has a name that is no text")?;
        let mut all = vec![
            Server {
                name: "chainring-chain",
                kind: Kind::Ours(Program::example("http", &["--cores", "1", "--root", path])?),
            },
            Server {
                name: "hyper on tokio",
                kind: Kind::Ours(Program::own(&["web-serve", "--root", path])?),
            },
        ];
        match Command::new("nginx").arg("-v").output() {
            Ok(_) => all.push(Server { name: "nginx", kind: Kind::Nginx(root.to_owned()) }),
            Err(_) => eprintln!("nginx is not installed, and left out"),
        }
        Ok(all)
    }

    pub(super) fn start(&self, core: usize) -> Result<Running> {
        match &self.kind {
            Kind::Ours(program) => program.start(core, None),
            Kind::Nginx(root) => Running::of_configured(core, |address| {
                let path = root.join("nginx.conf");
                std::fs::write(&path, configuration(root, &address.to_string()))?;
                let mut nginx = Command::new("nginx");
                nginx.arg("-p").arg(root).arg("-c").arg(path);
                Ok(nginx)
            }),
        }
    }
}

/// One process, without logs, that looks at a file again after a second, as the others do.
fn configuration(root: &Path, address: &str) -> String {
    let root = root.display();
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path {root}/{name};\n"))
        .collect();
    format!(
        "daemon off;
master_process off;
worker_processes 1;
error_log stderr error;
pid {root}/nginx.pid;
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
        root {root};
    }}
}}
"
    )
}
