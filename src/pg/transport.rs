//! The stream that the driver reads from and writes to: a socket, with TLS if `sslmode` says so, whose
//! incoming bytes are counted.
//!
//! The driver accepts custom streams only in the place of TLS streams. So it is configured to begin with
//! TLS at once, and the negotiation happens here. Unix sockets, which never have TLS, are passed to it as
//! they are.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::quota::{CountedStream, Quota};

/// Whether TLS is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    Never,
    IfOffered,
    Always,
}

/// Makes transports.
#[derive(Clone)]
pub(super) struct Transports {
    pub(super) encryption: Encryption,
    pub(super) tls: MakeRustlsConnect,
    pub(super) quota: Arc<Quota>,
}

/// Makes one transport.
pub(super) struct TransportConnector<S: Socket> {
    encryption: Encryption,
    tls: <MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect,
    quota: Arc<Quota>,
}

/// A socket, or anything that can be used as one.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Socket for S {}

/// A stream with TLS or without.
pub(super) enum Transport<S: Socket> {
    Plain(S),
    Encrypted(<MakeRustlsConnect as MakeTlsConnect<S>>::Stream),
}

impl<S: Socket> MakeTlsConnect<S> for Transports {
    type Stream = CountedStream<Transport<S>>;
    type TlsConnect = TransportConnector<S>;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<TransportConnector<S>> {
        let tls = MakeTlsConnect::<S>::make_tls_connect(&mut self.tls, domain);
        let tls = tls.map_err(io::Error::other)?;
        Ok(TransportConnector { encryption: self.encryption, tls, quota: Arc::clone(&self.quota) })
    }
}

impl<S: Socket> TlsConnect<S> for TransportConnector<S> {
    type Stream = CountedStream<Transport<S>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<CountedStream<Transport<S>>>>;

    fn connect(self, mut stream: S) -> Self::Future {
        Box::pin(async move {
            let TransportConnector { encryption, tls, quota } = self;
            let offered = encryption != Encryption::Never && is_offered(&mut stream).await?;
            let transport = match (encryption, offered) {
                (_, true) => Transport::Encrypted(tls.connect(stream).await?),
                (Encryption::Always, false) => {
                    return Err(io::Error::other("server does not support TLS"));
                }
                (Encryption::Never | Encryption::IfOffered, false) => Transport::Plain(stream),
            };
            Ok(CountedStream::new(transport, quota))
        })
    }
}

/// The SSLRequest message: its length, and a number that no version of the protocol has.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Sends an SSLRequest. Returns whether the server offers TLS.
async fn is_offered(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<bool> {
    stream.write_all(&REQUEST).await?;
    stream.flush().await?;
    // Read no further: the bytes that follow belong to TLS.
    Ok(stream.read_u8().await? == b'S')
}

impl<S: Socket> AsyncRead for Transport<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: Socket> AsyncWrite for Transport<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl<S: Socket> TlsStream for Transport<S> {
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            Transport::Plain(_) => ChannelBinding::none(),
            Transport::Encrypted(stream) => stream.channel_binding(),
        }
    }
}
