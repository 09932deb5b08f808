//! A limit on the bytes that a server may send, counted between the socket and the driver, which has no
//! limits of its own.
//!
//! A server that is broken, or is not PostgreSQL, may send a result without end, a message of any length
//! or millions of notices. The driver collects a whole message before it passes it on, so the limit has to
//! be below the driver: it reads each message's header as the bytes arrive, and a message whose announced
//! length exceeds the rest of the limit closes the connection before it is read.
//!
//! | what is sent | at most |
//! |---|---|
//! | everything before the first query | 1 MB |
//! | a row, where rows are read one by one | 1 GiB, PostgreSQL's own limit |
//! | everything else of one result | 64 MB |
//! | the last value of every setting, which the driver keeps | 512 kB a connection |
//!
//! A server reports a setting each time that it changes: some of them twice in each transaction that sets
//! them with SET LOCAL. So a report that replaces an earlier one counts for its result only.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// Bytes of all messages before the first query.
const GREETING: usize = 1 << 20;
/// Bytes of one result.
const RESULT: usize = 64 << 20;
/// Bytes of one row.
const ROW: usize = 1 << 30;
/// Bytes of the settings that the driver keeps, with their names.
const SETTINGS: usize = 1 << 19;

/// The length of a message's header: its type, and its length without the type.
const HEADER: usize = 5;

/// How much may still arrive on a connection; shared by the task that queries and the one that reads.
#[derive(Debug)]
pub(super) struct Quota {
    result: AtomicUsize,
    /// Whether rows are read one by one.
    streams: AtomicBool,
    /// Whether a query was sent.
    queried: AtomicBool,
    exceeded: OnceLock<&'static str>,
}

impl Quota {
    /// Makes the limits of a connection that is being opened.
    pub(super) fn of_greeting() -> Arc<Quota> {
        Arc::new(Quota {
            result: AtomicUsize::new(GREETING),
            streams: AtomicBool::new(false),
            queried: AtomicBool::new(false),
            exceeded: OnceLock::new(),
        })
    }

    /// Begins the next result. With `streams`, each row has a limit of its own.
    pub(super) fn begin_result(&self, streams: bool) {
        self.result.store(RESULT, Ordering::Relaxed);
        self.streams.store(streams, Ordering::Relaxed);
        self.queried.store(true, Ordering::Relaxed);
    }

    /// Returns which limit was exceeded, as a message; `None` if none was.
    pub(super) fn exceeded(&self) -> Option<&'static str> {
        self.exceeded.get().copied()
    }

    /// Counts a message of this type and length.
    fn count(&self, kind: u8, bytes: usize) -> io::Result<()> {
        if kind == b'D' && self.streams.load(Ordering::Relaxed) {
            return match bytes > ROW {
                true => Err(self.exceed("the server sent a row of more than 1 GiB")),
                false => Ok(()),
            };
        }
        let less = |left: usize| left.checked_sub(bytes);
        match self.result.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Ok(()),
            Err(_) if self.queried.load(Ordering::Relaxed) => {
                Err(self.exceed("the server's answer is larger than 64 MB"))
            }
            Err(_) => Err(self.exceed("the server sent more than 1 MB before the first query")),
        }
    }

    /// Records which limit was exceeded, and returns it as the error that closes the connection.
    fn exceed(&self, why: &'static str) -> io::Error {
        let _ = self.exceeded.set(why);
        io::Error::other(why)
    }
}

/// The state of reading a server's messages, as far as their boundaries are concerned.
#[derive(Debug, Default)]
struct Messages {
    header: [u8; HEADER],
    /// Bytes of the header that have arrived.
    known: usize,
    /// Bytes of the message that are still to arrive.
    body: usize,
    /// The body of a setting, as far as it has arrived.
    setting: Option<Vec<u8>>,
    settings: Settings,
}

impl Messages {
    fn pass(&mut self, mut bytes: &[u8], quota: &Quota) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.body > 0 {
                let (passed, rest) = bytes.split_at(self.body.min(bytes.len()));
                self.body -= passed.len();
                bytes = rest;
                self.keep(passed, quota)?;
                continue;
            }
            let (Some((first, rest)), Some(place)) =
                (bytes.split_first(), self.header.get_mut(self.known))
            else {
                return Ok(());
            };
            *place = *first;
            self.known += 1;
            bytes = rest;
            if self.known == HEADER {
                self.known = 0;
                let [kind, length @ ..] = self.header;
                let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                quota.count(kind, length.saturating_add(1))?;
                self.body = length.saturating_sub(HEADER - 1);
                self.setting = (kind == b'S').then(Vec::new);
            }
        }
        Ok(())
    }

    /// Collects a setting's body, and counts it when it is complete.
    fn keep(&mut self, part: &[u8], quota: &Quota) -> io::Result<()> {
        let Some(setting) = &mut self.setting else { return Ok(()) };
        setting.extend_from_slice(part);
        let within = setting.len() <= SETTINGS && (self.body > 0 || self.settings.keep(setting));
        match within {
            true => Ok(()),
            false => Err(quota.exceed("the server sent settings without end")),
        }
    }
}

/// The settings that the driver keeps: the bytes of the last value of each name.
#[derive(Debug, Default)]
struct Settings {
    values: HashMap<Vec<u8>, usize>,
    /// Bytes of all names and values.
    bytes: usize,
}

impl Settings {
    /// Replaces the earlier value of this setting. Returns whether all values are within the limit.
    fn keep(&mut self, setting: &[u8]) -> bool {
        let name = setting.split(|byte| *byte == 0).next().unwrap_or_default();
        let value = setting.len() - name.len();
        match self.values.get_mut(name) {
            Some(before) => self.bytes = self.bytes - std::mem::replace(before, value) + value,
            None => {
                self.values.insert(name.to_vec(), value);
                self.bytes += setting.len();
            }
        }
        self.bytes <= SETTINGS
    }
}

/// A stream whose incoming bytes, after decryption, are counted.
#[derive(Debug)]
pub(super) struct CountedStream<S> {
    stream: S,
    messages: Messages,
    quota: Arc<Quota>,
}

impl<S> CountedStream<S> {
    pub(super) fn new(stream: S, quota: Arc<Quota>) -> CountedStream<S> {
        CountedStream { stream, messages: Messages::default(), quota }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let CountedStream { stream, messages, quota } = &mut *self;
        ready!(Pin::new(stream).poll_read(context, buffer))?;
        let arrived = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(messages.pass(arrived, quota))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for CountedStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn header(kind: u8, length: u32) -> Vec<u8> {
        [&[kind][..], &length.to_be_bytes()].concat()
    }

    /// Passes bytes in parts of this size. Returns which limit was exceeded.
    fn pass(quota: &Quota, bytes: &[u8], piece: usize) -> Option<&'static str> {
        let mut messages = Messages::default();
        let passed = bytes.chunks(piece).try_for_each(|bytes| messages.pass(bytes, quota));
        assert_eq!(passed.is_err(), quota.exceeded().is_some());
        quota.exceeded()
    }

    #[test]
    fn message_boundaries_do_not_depend_on_reads() {
        let bytes = [message(b'T', b"abc"), message(b'D', &[7; 300]), message(b'C', b"")].concat();
        for piece in [1, 2, 3, 5, 7, 1_000] {
            let quota = Quota::of_greeting();
            quota.begin_result(false);
            assert_eq!(pass(&quota, &bytes, piece), None);
            let left = quota.result.load(Ordering::Relaxed);
            assert_eq!(RESULT - left, bytes.len());
        }
    }

    #[test]
    fn a_message_that_is_too_long_fails_before_it_arrives() {
        let gib = 1 << 30;
        for (streams, kind, length, exceeds) in [
            (false, b'D', (64 << 20) - 1, false),
            (false, b'D', 64 << 20, true),
            (true, b'D', gib - 1, false),
            (true, b'D', gib, true),
            (true, b'E', 64 << 20, true),
            (true, b'D', u32::MAX, true),
        ] {
            let quota = Quota::of_greeting();
            quota.begin_result(streams);
            let exceeded = pass(&quota, &header(kind, length), 2);
            assert_eq!(exceeded.is_some(), exceeds, "{streams} {kind} {length}");
        }
    }

    #[test]
    fn many_small_messages_exceed_the_limit() {
        let flood = |quota: &Quota, kind: u8, most: usize| {
            let bytes = message(kind, &[0; 1_000]);
            (0..most).find(|_| pass(quota, &bytes, 512).is_some())
        };
        let quota = Quota::of_greeting();
        assert!(flood(&quota, b'N', 2_000).is_some(), "notices before the first question");
        let quota = Quota::of_greeting();
        assert!(flood(&quota, b'S', 2_000).is_some(), "one setting before the first question");
        let quota = Quota::of_greeting();
        quota.begin_result(true);
        assert!(flood(&quota, b'D', 100_000).is_none(), "rows are read one by one");
        assert!(flood(&quota, b'N', 100_000).is_some(), "notices among rows");
        let quota = Quota::of_greeting();
        quota.begin_result(true);
        assert!(flood(&quota, b'S', 100_000).is_some(), "one setting in one answer");
    }

    /// Each transaction reports the same settings, when it sets them and when it ends. A connection that read
    /// thousands of chunks was closed for that once.
    #[test]
    fn settings_that_each_transaction_reports_count_once() {
        let quota = Quota::of_greeting();
        let mut messages = Messages::default();
        let inside = message(b'S', b"DateStyle\0ISO, YMD\0");
        let outside = message(b'S', b"DateStyle\0SQL, DMY\0");
        for _ in 0..100_000 {
            quota.begin_result(true);
            for report in [&inside, &outside] {
                for part in report.chunks(7) {
                    messages.pass(part, &quota).unwrap();
                }
            }
        }
        assert_eq!(messages.settings.bytes, inside.len() - HEADER);
    }

    #[test]
    fn settings_of_ever_new_names_exceed_the_limit() {
        let quota = Quota::of_greeting();
        let mut messages = Messages::default();
        let refused = (0..100_000).find(|number| {
            quota.begin_result(true);
            let report = message(b'S', format!("setting.{number}\0on\0").as_bytes());
            messages.pass(&report, &quota).is_err()
        });
        assert!(refused.is_some_and(|number| number > 10_000), "{refused:?}");
        assert_eq!(quota.exceeded(), Some("the server sent settings without end"));
    }

    #[test]
    fn a_long_setting_exceeds_the_limit() {
        let quota = Quota::of_greeting();
        quota.begin_result(true);
        let long = message(b'S', &vec![b'x'; SETTINGS + 1]);
        assert_eq!(pass(&quota, &long, 8_192), Some("the server sent settings without end"));
    }
}
