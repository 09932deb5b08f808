//! A network that fails at a given place: a TCP proxy in front of a server.
//!
//! What happens to each connection is counted in bytes that the server sends. What passed is kept,
//! so that a test can first record a run and then cut the same run at places of its choosing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::pair::READER;
use super::cluster::Cluster;

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Everything passes.
    Pass,
    /// It ends after so many bytes: with a reset, or as if the server had closed it.
    Cut { after: usize, reset: bool },
    /// It stays open, but after so many bytes nothing passes in either direction.
    Silent { after: usize },
    /// After so many bytes from the server this is sent instead, without end.
    Flood { after: usize, flood: &'static [u8] },
}

/// A proxy. It listens until it is dropped.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    over: AtomicBool,
    connections: Mutex<Vec<Connection>>,
}

#[derive(Default)]
struct Connection {
    /// Everything that the server sent.
    received: Vec<u8>,
    sockets: Vec<TcpStream>,
}

impl Proxy {
    /// Starts a proxy in front of a server. Connections are counted from 0.
    pub fn start(cluster: &Cluster, fate: impl Fn(usize) -> Fate + Send + 'static) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let shared =
            Arc::new(Shared { over: AtomicBool::new(false), connections: Mutex::default() });
        let (theirs, server) = (Arc::clone(&shared), cluster.port);
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                if theirs.over.load(Ordering::Acquire) {
                    return;
                }
                let server = TcpStream::connect(("127.0.0.1", server)).expect("the server");
                serve(&theirs, number, fate(number), client.expect("a client"), server);
            }
        });
        Proxy { port, shared }
    }

    /// Returns a connection string through it for the reader.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{READER}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Returns how many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }

    /// Returns whether the server has sent so many bytes on a connection.
    pub fn has_received(&self, connection: usize, bytes: usize) -> bool {
        let connections = self.shared.connections.lock().unwrap();
        connections.get(connection).is_some_and(|connection| connection.received.len() >= bytes)
    }

    /// Returns how many bytes the server sent on a connection, and where each of its messages
    /// began.
    pub fn received(&self, connection: usize) -> (usize, Vec<usize>) {
        let connections = self.shared.connections.lock().unwrap();
        let received = &connections[connection].received;
        let (mut messages, mut at) = (Vec::new(), 0);
        while let Some(head) = received.get(at..at + 5) {
            messages.push(at);
            at += 1 + u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        }
        (received.len(), messages)
    }
}

impl Proxy {
    /// Returns where each message of the server that contains this word began.
    pub fn messages_with(&self, connection: usize, word: &str) -> Vec<usize> {
        let (end, messages) = self.received(connection);
        let connections = self.shared.connections.lock().unwrap();
        let received = &connections[connection].received;
        let ends = messages.iter().skip(1).copied().chain([end]);
        let said = messages.iter().copied().zip(ends);
        let says = |(from, to): &(usize, usize)| {
            received[*from..*to].windows(word.len()).any(|part| part == word.as_bytes())
        };
        said.filter(says).map(|(from, _)| from).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // The listener checks for the end when a client connects.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        for connection in self.shared.connections.lock().unwrap().iter() {
            connection.sockets.iter().for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
        }
    }
}

fn serve(shared: &Arc<Shared>, number: usize, fate: Fate, client: TcpStream, server: TcpStream) {
    let copy = |socket: &TcpStream| socket.try_clone().expect("a copy");
    let mut connection = Connection::default();
    if let Fate::Silent { .. } = fate {
        // The end of the connection must not pass either, so the connection is kept open.
        connection.sockets = vec![copy(&client), copy(&server)];
    }
    shared.connections.lock().unwrap().push(connection);
    let (up, down) = (Arc::clone(shared), Arc::clone(shared));
    let (client_copy, server_copy) = (copy(&client), copy(&server));
    std::thread::spawn(move || upwards(&up, number, fate, client_copy, server_copy));
    std::thread::spawn(move || downwards(&down, number, fate, client, server));
}

/// Passes bytes from the client to the server.
fn upwards(
    shared: &Shared,
    number: usize,
    fate: Fate,
    mut client: TcpStream,
    mut server: TcpStream,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = client.read(&mut buffer).unwrap_or(0);
        let before = shared.connections.lock().unwrap()[number].received.len();
        let silent = matches!(fate, Fate::Silent { after } if before >= after);
        if read == 0 {
            if !silent {
                let _ = server.shutdown(Shutdown::Both);
            }
            return;
        }
        if !silent && server.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// Passes bytes from the server to the client.
fn downwards(
    shared: &Shared,
    number: usize,
    fate: Fate,
    mut client: TcpStream,
    mut server: TcpStream,
) {
    let limit = match fate {
        Fate::Pass => usize::MAX,
        Fate::Cut { after, .. } | Fate::Silent { after } | Fate::Flood { after, .. } => after,
    };
    let mut buffer = vec![0; 1 << 16];
    let mut passed = 0;
    loop {
        if passed >= limit
            && let Fate::Cut { reset, .. } = fate
        {
            if reset {
                let socket = socket2::SockRef::from(&client);
                socket.set_linger(Some(Duration::ZERO)).expect("linger");
            }
            // This ends the other thread's read; a reset is sent when both threads have closed the
            // connection.
            let how = if reset { Shutdown::Read } else { Shutdown::Both };
            let _ = client.shutdown(how);
            let _ = server.shutdown(Shutdown::Both);
            return;
        }
        if passed >= limit
            && let Fate::Flood { flood, .. } = fate
        {
            let flood = flood.repeat((1 << 16) / flood.len() + 1);
            while client.write_all(&flood).is_ok() {}
            let _ = server.shutdown(Shutdown::Both);
            return;
        }
        let read = server.read(&mut buffer).unwrap_or(0);
        if read == 0 {
            if passed < limit {
                let _ = client.shutdown(Shutdown::Both);
            }
            return;
        }
        let piece = &buffer[..read.min(limit - passed)];
        // Counted before it is passed on: what the client sends next is an answer to it.
        shared.connections.lock().unwrap()[number].received.extend_from_slice(piece);
        passed += piece.len();
        if client.write_all(piece).is_err() {
            let _ = server.shutdown(Shutdown::Both);
            return;
        }
    }
}
