//! A hostile server: it accepts any client and then sends what PostgreSQL never would.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a hostile server sends.
#[derive(Clone, Debug)]
pub enum Lie {
    /// This again and again after a client has logged in.
    Greeting(Vec<u8>),
    /// This again and again as rows of the first query.
    Rows(Vec<u8>),
    /// This once as the answer to the first query.
    Answer(Vec<u8>),
}

/// Builds a message: its type, its length, its body.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a length");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// Builds the head of a message that announces this length.
pub fn announced(kind: u8, length: u32) -> Vec<u8> {
    [&[kind][..], &length.to_be_bytes(), &[0; 4096]].concat()
}

/// A hostile server. It listens until it is dropped.
pub struct Liar {
    pub port: u16,
    over: Arc<AtomicBool>,
}

impl Liar {
    pub fn start(lie: Lie) -> Liar {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let over = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&over);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if theirs.load(Ordering::Acquire) {
                    return;
                }
                let (client, lie) = (client.expect("a client"), lie.clone());
                // The client closes the connection when it has read enough.
                std::thread::spawn(move || drop(serve(client, &lie)));
            }
        });
        Liar { port, over }
    }

    pub fn url(&self) -> String {
        format!("postgresql://reader@127.0.0.1:{}/d?sslmode=disable", self.port)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // The listener checks for the end when a client connects.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(mut client: TcpStream, lie: &Lie) -> std::io::Result<()> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut startup)?;
    client.write_all(&message(b'R', &[0; 4]))?;
    if let Lie::Greeting(flood) = lie {
        return repeat(&mut client, flood);
    }
    client.write_all(&message(b'K', &[0; 8]))?;
    client.write_all(&message(b'Z', b"I"))?;
    // The beginning of a transaction, then the first query: parse, bind, describe, execute, sync.
    while next(&mut client)? != b'S' {}
    let column = [&b"c\0"[..], &[0; 6], &23_u32.to_be_bytes(), &[0, 4], &[0xff; 4], &[0, 1]];
    let described = [&[0, 1][..], &column.concat()].concat();
    match lie {
        Lie::Answer(answer) => {
            client.write_all(answer)?;
            client.write_all(&message(b'Z', b"E"))?;
            loop {
                next(&mut client)?;
            }
        }
        Lie::Greeting(flood) | Lie::Rows(flood) => {
            let parsed = [message(b'1', b""), message(b'2', b""), message(b't', &[0, 0])];
            client.write_all(&parsed.concat())?;
            client.write_all(&message(b'T', &described))?;
            repeat(&mut client, flood)
        }
    }
}

/// Reads a message, and answers one that has no rows. Returns its type.
fn next(client: &mut TcpStream) -> std::io::Result<u8> {
    let mut header = [0; 5];
    client.read_exact(&mut header)?;
    let [kind, length @ ..] = header;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut body)?;
    if kind == b'Q' {
        client.write_all(&[message(b'C', b"SET\0"), message(b'Z', b"T")].concat())?;
    }
    Ok(kind)
}

/// Sends the same until the client closes the connection.
fn repeat(client: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let many = bytes.repeat((1 << 16) / bytes.len() + 1);
    loop {
        client.write_all(&many)?;
    }
}
