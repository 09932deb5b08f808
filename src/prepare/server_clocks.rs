//! Reads the clocks of both servers. A run records them with that of its own machine when it starts and when
//! it ends, and the gate compares them with what they show later.
//!
//! A run does not fail because a clock could not be read: it records those that were read.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::preparation::Prepared;
use crate::finding::format_timestamp;
use crate::gate::Clocks;
use crate::pg::{PgError, Pool, ReadSettings, Remedy};
use crate::problem::Problem;
use crate::schema::{BySide, Side};

/// How long a server may take to report its clock.
pub(crate) const CLOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take at the end of a run that is to stop, or has lost a server.
pub(crate) const LAST_CLOCK_PATIENCE: Duration = Duration::from_secs(1);
/// The pause before a new connection.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads the clocks of both servers and of this machine.
///
/// # Errors
/// When a server does not report its clock.
pub async fn clocks(prepared: &Prepared) -> Result<Clocks, Problem> {
    let read_side = async |side: Side| {
        let clock = read_in_time(&prepared.pools[side], CLOCK_PATIENCE).await;
        clock.map(Some).map_err(|error| Problem::from((Some(side), error)))
    };
    let (source, target) = tokio::join!(read_side(Side::Source), read_side(Side::Target));
    let servers = BySide { source: source?, target: target? };
    Ok(Clocks { machine: Timestamp::now(), servers })
}

/// Reads the clocks of both servers as records write them; `None` for a server that did not report
/// it in time.
pub(crate) async fn server_clocks(
    pools: &BySide<Pool>,
    patience: Duration,
) -> BySide<Option<String>> {
    if patience.is_zero() {
        return BySide::default();
    }
    let (source, target) =
        tokio::join!(read_in_time(&pools.source, patience), read_in_time(&pools.target, patience));
    BySide { source, target }.map(|clock| clock.ok().map(format_timestamp))
}

async fn read_in_time(pool: &Pool, patience: Duration) -> Result<Timestamp, PgError> {
    let mut why = PgError::transient("the server's clock: no answer in time");
    let clock = timeout(patience, async {
        loop {
            match read(pool).await {
                Err(error) if error.remedy == Remedy::Retry => why = error,
                clock => return clock,
            }
            sleep(PAUSE).await;
        }
    });
    match clock.await {
        Ok(clock) => clock,
        Err(_) => Err(why),
    }
}

async fn read(pool: &Pool) -> Result<Timestamp, PgError> {
    let connection = pool.acquire().await?;
    let clock = connection.read_clock(&ReadSettings::new(&[], CLOCK_PATIENCE)).await;
    connection.give_back().await;
    clock
}
