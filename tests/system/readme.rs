//! The commands of the README and of the pages it leads to, pasted as they are.
//!
//! A daemon shows the demo stream; every command of the README, of the table of URLs and of the pages
//! about the disk, evidence and accounts runs in bash in its directory, in that order. The `holdfast`
//! command is what `make install` leaves in the home of a newcomer. Stand-ins do only what a person at
//! the keyboard does: they end players a second after these know what they play, and open pages without
//! a window. Sections that the page about accounts shows are put into the configuration first.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{need, run, wait_for};

/// The pages whose commands are pasted, in this order, at the time of this build.
const PAGES: [&str; 5] = [
    include_str!("../../README.md"),
    include_str!("../../docs/reference/urls.md"),
    include_str!("../../docs/operate/disk.md"),
    include_str!("../../docs/use/evidence.md"),
    ACCOUNTS,
];
/// After the commands of this page, players need an account.
const ACCOUNTS: &str = include_str!("../../docs/operate/accounts.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Commands that are not run, and why.
const LEFT_OUT: [(&str, &str); 3] = [
    ("make ", "the test is run by them"),
    (
        "ffplay -rtsp_transport udp_multicast",
        "off by default; rtsp/interop.rs plays it on a network of its own",
    ),
    ("holdfast ring shrink", "asks at a terminal; dvr/shrink.rs answers it"),
];

/// More than any of them takes here.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn every_command_of_the_readme_can_be_pasted() {
    for (program, package) in [("ffplay", "ffmpeg"), ("curl", "curl"), ("jq", "jq")] {
        need(program, package);
    }
    let commands = commands();
    assert!(commands.len() > 40, "the pages' commands are not found any more: {commands:#?}");
    let daemon = Daemon::start_new(
        "256MiB",
        "[stream.demo]\nsource = { kind = \"pattern\", width = 640, height = 360, fps = 10 }",
    );
    let dir = daemon.config().parent().expect("it lies in a directory").to_owned();
    stand_ins(&dir.join("bin"));
    install(&dir.join("home"));
    let mut config = OpenOptions::new().append(true).open(daemon.config()).unwrap();
    for section in ACCOUNTS.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        write!(config, "\n{section}").unwrap();
    }
    wait_for("half a minute is recorded", Duration::from_secs(90), || recorded(&daemon, 25.0));
    let failed: Vec<String> =
        commands.iter().filter_map(|command| paste(&daemon, &dir, command).err()).collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), commands.len(), failed.join("\n"));
    daemon.reload();
    let url = format!("rtsp://127.0.0.1:{}/demo", daemon.rtsp_port);
    wait_for("accounts to be asked for", PATIENCE, || {
        let mut probe = Command::new("ffprobe");
        let output =
            run(probe.args(["-loglevel", "error", "-rtsp_transport", "tcp", &url]), PATIENCE);
        String::from_utf8_lossy(&output.stderr).contains("401").then_some(())
    });
}

/// `make install` without the build, which made the tests' own program: it goes where the page
/// says, and the page says what to do if a shell does not find it there.
fn install(home: &Path) {
    let program = env!("CARGO_BIN_EXE_holdfast");
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "-C", ROOT, "install-program"]);
    make.arg(format!("PROGRAM={program}")).env("HOME", home).env_remove("PREFIX");
    let output = run(&mut make, PATIENCE);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // An answer that is a refusal is a failure, and nothing asked for hangs.
    std::fs::write(home.join(".curlrc"), "fail\nmax-time 20\nsilent\nshow-error\n").unwrap();
    let bin = home.join(".local/bin");
    assert!(told.contains(&format!("export PATH=\"{}:$PATH\"", bin.display())), "{told}");
    assert!(bin.join("holdfast").is_file());
}

/// A shell makes the file of `>> holdfast.toml` before it finds out that there is no such command.
#[test]
fn an_empty_configuration_is_not_taken_for_the_newcomers_own() {
    let dir = tempfile::tempdir().unwrap();
    let taken = || {
        let mut make = Command::new("make");
        make.current_dir(&dir)
            .arg("-sf")
            .arg(Path::new(ROOT).join("Makefile"))
            .env_remove("CONFIG");
        let output = run(make.args(["--eval", "taken: ; @echo $(CONFIG)", "taken"]), PATIENCE);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(taken(), "tests/demo.toml");
    let own = dir.path().join("holdfast.toml");
    std::fs::write(&own, "").unwrap();
    assert_eq!(taken(), "tests/demo.toml");
    std::fs::write(&own, "data_dir = \"./data\"\n").unwrap();
    assert_eq!(taken(), "holdfast.toml");
}

/// The commands of all pages, in their order, each once.
fn commands() -> Vec<String> {
    let of_a_page = |page: &'static str| {
        let rows = page.lines().filter_map(of_a_row);
        rows.chain(page.split("```sh\n").skip(1).flat_map(of_a_block))
    };
    let left_out = |command: &String| LEFT_OUT.iter().any(|(begin, _)| command.starts_with(begin));
    let mut commands: Vec<String> = Vec::new();
    for command in PAGES.into_iter().flat_map(of_a_page).filter(|command| !left_out(command)) {
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    commands
}

/// The command in the last cell of a row of a table that says what to try.
fn of_a_row(line: &str) -> Option<String> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
    let tried = cells.last()?.strip_prefix('`')?.split_once('`')?.0;
    Some(tried.replace("\\|", "|")).filter(|tried| tried.contains("127.0.0.1"))
}

/// The commands of a block, with their continuation lines.
fn of_a_block(block: &str) -> Vec<String> {
    let block = block.split("\n```").next().unwrap_or_default().replace("\\\n", " ");
    block.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Runs one as a person would; what went wrong, if anything did.
fn paste(daemon: &Daemon, dir: &Path, command: &str) -> Result<(), String> {
    if command.contains("/file\"") {
        wait_for("the export is made", PATIENCE, || {
            let jobs = daemon.get("/api/v1/exports");
            (jobs["exports"][0]["state"] == "done").then_some(())
        });
    }
    let here = command
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", daemon.http_port))
        .replace("127.0.0.1:8554", &format!("127.0.0.1:{}", daemon.rtsp_port))
        .replace("127.0.0.1:8322", &format!("127.0.0.1:{}", daemon.rtsps_port))
        .replace("127.0.0.1:8443", &format!("127.0.0.1:{}", daemon.https_port));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = Command::new("bash");
    let (bin, home) = (dir.join("bin"), dir.join("home"));
    bash.args(["-c", &here]).current_dir(dir).env("HOME", &home);
    bash.env("PATH", format!("{}:{}/.local/bin:{path}", bin.display(), home.display()));
    bash.env("SDL_VIDEODRIVER", "dummy").env("SDL_AUDIODRIVER", "dummy");
    let files = || std::fs::read_dir(dir).map_or(0, Iterator::count);
    let before = files();
    let output = run(&mut bash, PATIENCE);
    let said = String::from_utf8_lossy(&output.stderr);
    let player = command.starts_with("ffplay") || command.starts_with("xdg-open");
    let came = player || !output.stdout.is_empty() || files() > before;
    // How a player ends does not show what it displayed.
    if if player { said.trim().is_empty() } else { output.status.success() && came } {
        return Ok(());
    }
    Err(format!("{command}\n    {}, nothing came: {}, said: {said}", output.status, !came))
}

/// Whether so many seconds of the demo can be asked for.
fn recorded(daemon: &Daemon, seconds: f64) -> Option<()> {
    let listing = daemon.get("/api/v1/recordings/demo");
    let run = listing["runs"].get(0)?;
    let at = |key: &str| run[key].as_str().and_then(|date| date.parse::<jiff::Timestamp>().ok());
    ((at("end")? - at("start")?).total(jiff::Unit::Second).ok()? >= seconds).then_some(())
}

/// Looks at what the real player shows for a second, and tells its faults.
const PLAYER: &str = "\
: >played
/usr/bin/ffplay -loglevel level+info \"$@\" >/dev/null 2>played & player=$!
for _ in $(seq 200); do
    grep -q 'Video:' played && break
    kill -0 $player 2>/dev/null || break
    sleep 0.1
done
sleep 1; kill $player 2>/dev/null; wait $player
grep -q 'Video:' played || cat played >&2
grep -E '\\[(error|fatal|panic)\\]' played >&2; rm played";

/// What a person does: looks, opens a page.
fn stand_ins(bin: &Path) {
    std::fs::create_dir(bin).unwrap();
    for (name, script) in [
        ("ffplay", PLAYER.to_owned()),
        ("xdg-open", "curl -sS \"$@\" | grep -q '<html' || echo no page >&2".to_owned()),
    ] {
        let path = bin.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}
