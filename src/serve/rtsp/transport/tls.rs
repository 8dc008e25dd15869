//! TLS over one TCP socket, read and written without waiting.
//!
//! Owns: the records between session and socket, at most [`TLS_SEND_BUFFER_BYTES`] of them. The
//! bytes of a packet are shared by all readers up to here; encryption copies them.

use std::io::{self, IoSlice, Read, Write};

use rustls::ServerConnection;
use tokio::net::TcpStream;

use crate::base::limits::TLS_SEND_BUFFER_BYTES;

/// A TLS connection after its handshake.
#[derive(Debug)]
pub(in super::super) struct TlsSocket {
    socket: TcpStream,
    tls: ServerConnection,
    /// The last read filled its buffer: more may be decrypted already.
    unread: bool,
}

impl TlsSocket {
    /// Continues after a handshake.
    pub(super) fn new(socket: TcpStream, mut tls: ServerConnection) -> Self {
        tls.set_buffer_limit(Some(TLS_SEND_BUFFER_BYTES));
        // What came together with the end of the handshake is decrypted already.
        Self { socket, tls, unread: true }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn tcp_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Whether a read may give something although the socket has nothing.
    pub(super) fn has_unread(&self) -> bool {
        self.unread
    }

    pub(super) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.unread = false;
        loop {
            match self.tls.reader().read(buffer) {
                Ok(length) => {
                    self.unread = length == buffer.len();
                    return Ok(length);
                }
                // The peer closed the socket without a word before; many do.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.tls.read_tls(&mut Tries(&self.socket))?;
            if let Err(error) = self.tls.process_new_packets() {
                // The alert that tells the peer why; it may get lost.
                let _ = self.flush();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    pub(super) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush()?;
        match self.tls.writer().write_vectored(slices)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => {
                self.flush()?;
                Ok(taken)
            }
        }
    }

    /// Sends records as far as it goes now; whether all have left.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Tries(&self.socket)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that nothing more will come.
    pub(super) fn close(&mut self) {
        self.tls.send_close_notify();
    }
}

/// A socket as rustls wants it.
struct Tries<'a>(&'a TcpStream);

impl Read for Tries<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Tries<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
