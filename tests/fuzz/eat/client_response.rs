//! What a camera answers to each request of ours, in one piece and in many.

use super::camera::Client;

const SDP: &str = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\n\
    m=audio 0 RTP/AVP 8\r\na=control:a\r\n";

/// Feeds one input: to which request, then what stands behind `RTSP/1.0 `.
pub fn eat(bytes: &[u8]) {
    let Some((stage, answer)) = bytes.split_first() else { return };
    let answer = [b"RTSP/1.0 ", answer].concat();
    let answered = |pieces: usize| {
        let mut client = up_to(*stage);
        for piece in answer.chunks(pieces) {
            client.session.receive(piece);
            client.go_on();
        }
        client.hear(b"\r\n\r\n");
        (client.over, client.connections, client.media)
    };
    assert_eq!(answered(usize::MAX), answered(7), "the pieces change what is understood");
}

/// A client that waits for the answer to its first, second, … request.
fn up_to(stage: u8) -> Client {
    let mut client = Client::new();
    let described = format!("RTSP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{SDP}", SDP.len());
    let answers = [
        "RTSP/1.0 200 OK\r\nPublic: GET_PARAMETER\r\n\r\n",
        &described,
        "RTSP/1.0 200 OK\r\nSession: 7\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n",
        "RTSP/1.0 200 OK\r\nTransport: RTP/AVP/TCP;interleaved=2-3\r\n\r\n",
        "RTSP/1.0 200 OK\r\n\r\n",
    ];
    for answer in &answers[..usize::from(stage % 6)] {
        client.hear(answer.as_bytes());
    }
    if stage % 6 == 5 {
        client.pass(28);
    }
    client
}
