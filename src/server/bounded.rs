//! [`Bounded`]: a listener that lets in so many at once, and nobody who says nothing.
//!
//! Each connection takes a descriptor, and the store that has none left takes no more writes. Whoever comes when all places are taken
//! waits in the system's queue until one is free.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// How long to wait when the system has no descriptor or no memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may say nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Silence {
    /// So long until it has said so many bytes, with which its protocol begins; afterwards its protocol looks after silence.
    Greeting(Duration, usize),
    /// So long at any time.
    Any(Duration),
}

/// A listener that lets in so many at once.
#[derive(Debug)]
pub(crate) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    silence: Silence,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener, places: usize, silence: Silence) -> Bounded {
        Bounded { listener, places: Arc::new(Semaphore::new(places)), silence }
    }

    /// The next connection, once there is a place for it.
    pub(crate) async fn next(&self) -> (Held, SocketAddr) {
        loop {
            // Nobody closes the semaphore.
            let Ok(place) = self.places.clone().acquire_owned().await else { std::future::pending().await };
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let _ = stream.set_nodelay(true);
                    return (Held::new(stream, place, self.silence), address);
                }
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that has a place until it ends.
#[derive(Debug)]
pub(crate) struct Held {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    silence: Silence,
    /// Bytes that were heard, while they are counted.
    heard: usize,
    /// When it has said nothing for too long.
    end: Option<Pin<Box<Sleep>>>,
}

impl Held {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, silence: Silence) -> Held {
        let (Silence::Greeting(patience, _) | Silence::Any(patience)) = silence;
        Held { stream, _place: place, silence, heard: 0, end: Some(Box::pin(sleep(patience))) }
    }

    /// So many bytes were said, or heard.
    fn lives(&mut self, bytes: usize) {
        let Some(end) = &mut self.end else { return };
        match self.silence {
            Silence::Greeting(_, greeting) => {
                self.heard += bytes;
                if self.heard >= greeting {
                    self.end = None;
                }
            }
            Silence::Any(patience) => end.as_mut().reset(Instant::now() + patience),
        }
    }
}

impl tonic::transport::server::Connected for Held {
    type ConnectInfo = tonic::transport::server::TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Held {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if read.is_ready() {
            this.lives(buffer.filled().len() - before);
        } else if this.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Held {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if written.is_ready() {
            this.lives(0);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        if written.is_ready() {
            this.lives(0);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const SHORT: Duration = Duration::from_millis(50);

    async fn bounded(places: usize, silence: Silence) -> (Bounded, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Bounded::new(listener, places, silence), address)
    }

    #[tokio::test]
    async fn whoever_finds_no_place_waits_for_one() {
        let (bounded, address) = bounded(1, Silence::Greeting(Duration::from_secs(60), 1)).await;
        let (_a, mut b) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let (first, _) = bounded.next().await;
        assert!(tokio::time::timeout(SHORT, bounded.next()).await.is_err());
        drop(first);
        let (mut second, _) = bounded.next().await;
        second.write_all(b"in").await.unwrap();
        let mut heard = [0; 2];
        b.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"in");
    }

    #[tokio::test]
    async fn whoever_says_nothing_is_let_go() {
        for silence in [Silence::Greeting(SHORT, 1), Silence::Any(SHORT)] {
            let (bounded, address) = bounded(1, silence).await;
            let mut client = TcpStream::connect(address).await.unwrap();
            let (mut held, _) = bounded.next().await;
            let mut byte = [0];
            assert_eq!(held.read(&mut byte).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            // One who has spoken may be silent later only if its protocol looks after that.
            drop(held);
            client = {
                drop(client);
                TcpStream::connect(address).await.unwrap()
            };
            client.write_all(b"x").await.unwrap();
            let (mut held, _) = bounded.next().await;
            held.read_exact(&mut byte).await.unwrap();
            let later = tokio::time::timeout(4 * SHORT, held.read(&mut byte)).await;
            assert_eq!(later.is_err(), matches!(silence, Silence::Greeting(..)));
        }
    }

    #[tokio::test]
    async fn whoever_does_not_end_its_greeting_is_let_go() {
        let (bounded, address) = bounded(1, Silence::Greeting(4 * SHORT, 3)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut held, _) = bounded.next().await;
        let mut byte = [0];
        for said in [b"a", b"b"] {
            tokio::time::sleep(SHORT).await;
            client.write_all(said).await.unwrap();
            held.read_exact(&mut byte).await.unwrap();
        }
        let end = tokio::time::timeout(40 * SHORT, held.read(&mut byte)).await.expect("it is let go");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
