//! Seeded random numbers, and how long a test draws from them.

use std::time::Duration;

/// A small seeded generator that gives the same numbers everywhere: splitmix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Returns how long a law is tested: `PGRECONCILE_LAW_SECONDS`, or 8 s.
pub fn budget() -> Duration {
    let seconds = std::env::var("PGRECONCILE_LAW_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(8))
}

/// Returns the seed that `PGRECONCILE_LAW_SEED` names, or a new one.
pub fn first_seed() -> u64 {
    let named = std::env::var("PGRECONCILE_LAW_SEED").ok().and_then(|text| text.parse().ok());
    named.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    })
}
