//! nginx on the files of a directory, on a port of its own.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Running, free_port, wait_for};

/// Debian puts it where only root's PATH leads.
const PROGRAM: &str = "/usr/sbin/nginx";

/// Starts nginx on the files below `root`, and says where it listens. `package` is the Debian
/// package that has the needed modules; `events`, `http` and `server` are put into these sections.
pub fn nginx(
    root: &Path,
    package: &str,
    [events, http, server]: [&str; 3],
) -> (Running, SocketAddr) {
    assert!(Path::new(PROGRAM).exists(), "nginx is missing: apt-get install {package}");
    let port = free_port();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (config, root) = (root.join("nginx.conf"), root.display());
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {root}/{name};"))
        .concat();
    let text = format!(
        "{user} daemon off; master_process off; pid {root}/pid; error_log {root}/errors;\n\
         events {{ {events} }}\nhttp {{ access_log off; {temp} {http}\n\
         server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; {server} }} }}\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["-p", &root.to_string(), "-c"]).arg(config);
    let running = Running::start(command.stderr(Stdio::null()));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_for("nginx listens", Duration::from_secs(60), || TcpStream::connect(address).ok());
    (running, address)
}
