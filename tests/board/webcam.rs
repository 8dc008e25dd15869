//! A webcam on the board's USB, behind the kernel's own `uvcvideo`: MJPEG, damage, unplugging, and what
//! brings one back that has died.
//!
//! Owns: the stream `webcam`, from [`a_webcam_is_seen`] to [`a_dead_webcam_loses_its_power`]; what is
//! tested between the two runs while that camera is dead.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::PATIENCE;
use super::recovery::wait_told;
use super::uvc::{FPS, Health, SIZE, Webcam};
use crate::harness::{ffmpeg, run_well, wait_for};
use crate::machine::Machine;

/// The first port of the hub in the first port of the controller, see `machine.rs`.
const CAMERA: &str = "platform-4010000000.pcie-pci-0000:00:10.0-usb-0:1.1:1.0-video-index0";
/// The same for the kernel's USB.
const DEVICE: &str = "1-1.1";
/// The daemon reads its configuration again.
const RELOAD: &str = "systemctl kill -s HUP --kill-whom=main holdfast";
/// Pictures of a film, after which it restarts.
const FILM_PICTURES: usize = 12;
/// Mean difference of grey of a picture that was encoded once more; another picture differs by tens.
const NOISE: u64 = 5;
/// For how long the ports have no power, in ms: 5 s, less what an emulated board takes to notice.
const OFF_MS_MIN: u64 = 4_000;

/// Seen, shown, damaged, unplugged, and brought back by the first rung; hands back the camera, which
/// is dead again, beyond what that rung mends.
pub(crate) fn a_webcam_is_seen(board: &Machine) -> Webcam {
    board.sh("cp /etc/holdfast/holdfast.toml /run/no-webcam.toml");
    let (width, height) = SIZE;
    let section = format!(
        "[stream.webcam]\nsource = {{ kind = \"v4l2\", device = \"/dev/v4l/by-path/{CAMERA}\", \
         format = \"mjpeg\", width = {width}, height = {height}, fps = {FPS} }}\n"
    );
    board.sh(&format!("cat >>/etc/holdfast/holdfast.toml <<'END'\n{section}END\n{RELOAD}"));
    board.wait_offline("webcam", "There is no camera at");
    let film = film("null");
    let camera = Webcam::plug(board.usb_port(), film.clone());
    board.wait_live("webcam");
    is_listed(board);
    shows(board, &camera, &film);
    leaves_out_its_tables(board, &camera);
    sends_damage(board, &camera);
    let camera = is_pulled_and_plugged(board, camera, &film);
    dies_and_is_reset(board, &camera);
    encodes_by_itself(board, &camera);
    camera.state().health = Health::MuteUntilReset;
    camera
}

/// The second rung: a camera that the first did not mend is without power two minutes after its death.
pub(crate) fn a_dead_webcam_loses_its_power(board: &Machine, camera: Webcam) {
    wait_told(board, 2, "gave no pictures");
    wait_for("power", PATIENCE, || {
        std::thread::sleep(Duration::from_secs(1));
        (camera.state().health == Health::Well).then_some(())
    });
    board.wait_live("webcam");
    let away = board.sh(&format!(
        "dmesg | awk -F'[][]' '/usb {DEVICE}: USB disconnect/ {{ gone = $2 }} \
         /usb {DEVICE}: new / {{ back = $2 }} END {{ printf \"%d\", (back - gone) * 1000 }}'"
    ));
    assert!(away.parse::<u64>().unwrap() >= OFF_MS_MIN, "the ports were off for {away} ms");
    board.sh("journalctl -u holdfast-usb -o cat | grep 'USB ports were without power'");
    board.sh(&format!("cp /run/no-webcam.toml /etc/holdfast/holdfast.toml && {RELOAD}"));
    wait_for("an end", PATIENCE, || board.stream("webcam").is_none().then_some(()));
}

fn is_listed(board: &Machine) {
    let camera = board.camera(CAMERA);
    assert_eq!(camera["driver"], "uvcvideo");
    let (width, height) = SIZE;
    let size = json!({ "width": width, "height": height, "fps": [f64::from(FPS)] });
    let formats = ["MJPG", "H264"].map(|code| json!({ "code": code, "sizes": [size] }));
    assert_eq!(camera["formats"], json!(formats));
}

/// Colour bars with a white square that moves, as one piece each; `filter` makes another film of it.
fn made(filter: &str, coded: &str, begins: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let (width, height) = SIZE;
    let picture = format!(
        "smptebars=size={width}x{height}:rate={FPS}[bars];color=white:size=48x48:rate={FPS}[dot];\
         [bars][dot]overlay=x=20*n:y=180,{filter}"
    );
    let mut making = ffmpeg();
    making.args(["-filter_complex", &picture, "-frames:v", &FILM_PICTURES.to_string()]);
    making.args(coded.split(' ')).arg("-");
    let bytes = run_well(&mut making, PATIENCE);
    let begun: Vec<_> = (0..bytes.len()).filter(|&at| begins(&bytes[at..])).collect();
    let ends = begun.iter().skip(1).copied().chain([bytes.len()]);
    let film: Vec<_> = begun.iter().zip(ends).map(|(&from, to)| bytes[from..to].to_vec()).collect();
    assert_eq!(film.len(), FILM_PICTURES);
    film
}

/// A film of JPEGs with the usual Huffman tables, and colours as most webcams sample them.
fn film(filter: &str) -> Vec<Vec<u8>> {
    let coded = "-pix_fmt yuvj422p -huffman default -q:v 3 -f mjpeg";
    made(filter, coded, |bytes| bytes.starts_with(&[0xff, 0xd8, 0xff]))
}

/// The same as access units of H.264 (Annex B), of which the first is a key frame.
fn coded_film() -> Vec<Vec<u8>> {
    let coded = "-pix_fmt yuv420p -c:v libx264 -bf 0 -x264-params aud=1:threads=1 -f h264";
    made("null", coded, |bytes| bytes.starts_with(&[0, 0, 0, 1, 9]))
}

/// A JPEG without its Huffman tables (`FFC4`), as many webcams send it.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (jpeg[..2].to_vec(), 2);
    while jpeg[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != 0xc4 {
            out.extend_from_slice(&jpeg[at..end]);
        }
        at = end;
    }
    [&out, &jpeg[at..]].concat()
}

/// Pictures as ffmpeg decodes them: grey in video range.
fn grey(mut decoder: Command) -> Vec<Vec<u8>> {
    decoder.args(["-vf", "scale=out_range=tv,format=yuv420p,extractplanes=y"]);
    // A picture that is late is not shown twice meanwhile.
    decoder.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]);
    let pixels = run_well(&mut decoder, PATIENCE);
    pixels.chunks(usize::from(SIZE.0) * usize::from(SIZE.1)).map(<[u8]>::to_vec).collect()
}

/// What comes out over RTSP is the film, encoded once more, and it moves.
fn shows(board: &Machine, camera: &Webcam, film: &[Vec<u8>]) {
    shows_within(NOISE, board, camera, film, "mjpeg");
}

/// The same of a film in `format`, whose pictures differ by less than `noise`.
fn shows_within(noise: u64, board: &Machine, camera: &Webcam, film: &[Vec<u8>], format: &str) {
    // What is sent of the present film, until it is in the group of pictures that a reader gets first.
    let begun = camera.state().shown;
    wait_for("pictures", PATIENCE, || (camera.state().shown > begun + 12).then_some(()));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, film.concat()).unwrap();
    let mut original = ffmpeg();
    original.args(["-f", format, "-i"]).arg(file.path());
    let original = grey(original);
    let mut player = ffmpeg();
    player.args(["-rtsp_transport", "tcp", "-i", &board.rtsp("webcam"), "-frames:v", "20"]);
    let seen = grey(player);
    let nearest = |picture: &Vec<u8>| {
        let of = |other: &Vec<u8>| {
            let sum: u64 = picture.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            sum.div_ceil(picture.len() as u64)
        };
        original.iter().map(of).enumerate().min_by_key(|(_, by)| *by).unwrap()
    };
    let found: Vec<_> = seen.iter().skip(10).map(nearest).collect();
    assert!(found.len() == 10 && found.iter().all(|(_, by)| *by < noise), "{found:?}");
    assert!(found.iter().any(|(which, _)| *which != found[0].0), "it stands still: {found:?}");
}

/// The product supplies the tables that a camera leaves out.
fn leaves_out_its_tables(board: &Machine, camera: &Webcam) {
    let mirrored: Vec<_> = film("hflip").iter().map(|jpeg| without_tables(jpeg)).collect();
    camera.state().film.clone_from(&mirrored);
    shows(board, camera, &film("hflip"));
}

/// Half a picture, which only its reader sees, and one that the camera itself calls damaged, which the
/// driver leaves out: both are counted, and cost no more than themselves.
fn sends_damage(board: &Machine, camera: &Webcam) {
    let restarts = board.total("webcam", "restarts");
    let counted = |before: u64| {
        board.wait_stream("webcam", "damage", |stream| {
            (stream["totals"]["lost"].as_u64()? >= before + 3).then_some(())
        });
    };
    let before = board.total("webcam", "lost");
    {
        let mut state = camera.state();
        let half = state.film[0][..state.film[0].len() / 2].to_vec();
        state.next.extend(vec![half; 3]);
    }
    counted(before);
    let before = board.total("webcam", "lost");
    camera.state().damaged = 3;
    counted(before);
    board.wait_live("webcam");
    assert_eq!(board.total("webcam", "restarts"), restarts);
}

fn is_pulled_and_plugged(board: &Machine, camera: Webcam, film: &[Vec<u8>]) -> Webcam {
    drop(camera);
    board.wait_offline("webcam", "There is no camera at");
    let camera = Webcam::plug(board.usb_port(), film.to_vec());
    board.wait_live("webcam");
    camera
}

/// The first rung: it is taken off its bus and put back, by root, for the daemon may not.
fn dies_and_is_reset(board: &Machine, camera: &Webcam) {
    let configured = {
        let mut state = camera.state();
        state.health = Health::MuteUntilConfigured;
        state.configured
    };
    wait_told(board, 1, "gave no pictures");
    wait_for("a reset", PATIENCE, || (camera.state().configured > configured).then_some(()));
    board.wait_live("webcam");
    board.sh(&format!("journalctl -u holdfast-usb -o cat | grep '{DEVICE} was taken off its bus'"));
    assert_eq!(board.sh("systemctl --failed --plain --no-legend"), "");
}

/// H.264 is published as the camera made it: what is decoded of it is the film, to the bit.
fn encodes_by_itself(board: &Machine, camera: &Webcam) {
    let film = coded_film();
    camera.state().coded.clone_from(&film);
    board.sh(&format!("sed -i 's/\"mjpeg\"/\"h264\"/' /etc/holdfast/holdfast.toml && {RELOAD}"));
    wait_for("another format", PATIENCE, || camera.state().encodes.then_some(()));
    board.wait_live("webcam");
    shows_within(1, board, camera, &film, "h264");
}
