//! Cancels a running query without crashing a pooler.
//!
//! The driver's own `cancel_query` closes its half of the connection as soon as the request is
//! written. PgBouncer 1.18 crashes on that, and every application behind it loses its connections. So
//! the request is sent on a stream whose shutdown does nothing, and the stream is then read to its end:
//! a server closes it once it has received the request.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::CancelToken;
use tokio_postgres::tls::MakeTlsConnect;

use super::connector::{Attempt, Connector};
use super::quota::Quota;
use super::transport::Transports;

/// How long to wait for a server to receive a cancel request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Sends a cancel request for the query that the token's connection runs. Which of several hosts runs
/// it is not known here, so each gets the request; a host that does not know the token ignores it.
pub(super) async fn cancel(connector: &Connector, token: &CancelToken) {
    for attempt in connector.attempts() {
        // The protocol has no answer to it: whether the query was cancelled is not known.
        let _ = tokio::time::timeout(TIMEOUT, send_to(attempt, token)).await;
    }
}

async fn send_to(attempt: &Attempt, token: &CancelToken) -> io::Result<()> {
    let (endpoint, transports) = (&attempt.endpoint, attempt.transports(Quota::of_greeting()));
    if endpoint.is_socket() {
        let path = endpoint.to_string();
        let stream = UnixStream::connect(path).await?.into_std()?;
        let copy = stream.try_clone()?;
        let (stream, copy) = (UnixStream::from_std(stream)?, UnixStream::from_std(copy)?);
        return send(stream, copy, endpoint.host.as_str(), transports, token).await;
    }
    let stream = match endpoint.address {
        Some(address) => TcpStream::connect((address, endpoint.port)).await?,
        None => TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?,
    };
    let stream = stream.into_std()?;
    let copy = stream.try_clone()?;
    let (stream, copy) = (TcpStream::from_std(stream)?, TcpStream::from_std(copy)?);
    send(stream, copy, endpoint.host.as_str(), transports, token).await
}

/// Sends the request on one handle of the connection, and reads to its end on the other, which keeps it
/// open until then.
async fn send<S>(
    stream: S,
    mut copy: S,
    host: &str,
    mut transports: Transports,
    token: &CancelToken,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tls = MakeTlsConnect::<KeepOpen<S>>::make_tls_connect(&mut transports, host)?;
    token.cancel_query_raw(KeepOpen(stream), tls).await.map_err(io::Error::other)?;
    // Nothing that comes is of interest, however much it is.
    tokio::io::copy(&mut copy, &mut tokio::io::sink()).await?;
    Ok(())
}

/// A stream that is not shut down.
struct KeepOpen<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for KeepOpen<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for KeepOpen<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
