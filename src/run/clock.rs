//! Asks both servers for their clocks: a run notes them beside that of its own machine when it starts and
//! when it ends, and the gate holds them against what they show then.
//!
//! A run does not fail because a clock could not be asked: it notes those that it knows.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::blocked::Blocked;
use super::prepare::Prepared;
use crate::finding::format_timestamp;
use crate::gate::Clocks;
use crate::pg::{PgError, Pool, ReadSettings, Remedy};
use crate::schema::{BySide, Side};

/// How long a server has to tell its clock.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long it has at the end of a run that is to stop, or has lost a server.
pub(super) const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// The pause before a connection that was lost is made again.
const PAUSE: Duration = Duration::from_millis(200);

/// Asks for all clocks: those of both servers, and this machine's.
///
/// # Errors
/// When a server does not tell its clock.
pub async fn clocks(prepared: &Prepared) -> Result<Clocks, Blocked> {
    let ask = async |side: Side| {
        let asked = ask_in_time(&prepared.pools[side], PATIENCE).await;
        asked.map(Some).map_err(|error| Blocked::from((Some(side), error)))
    };
    let (source, target) = tokio::join!(ask(Side::Source), ask(Side::Target));
    let servers = BySide { source: source?, target: target? };
    Ok(Clocks { machine: Timestamp::now(), servers })
}

/// Asks for the clocks of both servers, as records write them; `None` where one did not tell it in time.
pub(super) async fn server_clocks(
    pools: &BySide<Pool>,
    patience: Duration,
) -> BySide<Option<String>> {
    if patience.is_zero() {
        return BySide::default();
    }
    let (source, target) =
        tokio::join!(ask_in_time(&pools.source, patience), ask_in_time(&pools.target, patience));
    BySide { source, target }.map(|clock| clock.ok().map(format_timestamp))
}

async fn ask_in_time(pool: &Pool, patience: Duration) -> Result<Timestamp, PgError> {
    let mut why = PgError::transient("the server's clock: no answer in time");
    let asked = timeout(patience, async {
        loop {
            match ask(pool).await {
                Err(error) if error.remedy == Remedy::Retry => why = error,
                asked => return asked,
            }
            sleep(PAUSE).await;
        }
    });
    match asked.await {
        Ok(asked) => asked,
        Err(_) => Err(why),
    }
}

async fn ask(pool: &Pool) -> Result<Timestamp, PgError> {
    let lease = pool.acquire().await?;
    let clock = lease.read_clock(&ReadSettings::new(&[], PATIENCE)).await;
    lease.give_back().await;
    clock
}
