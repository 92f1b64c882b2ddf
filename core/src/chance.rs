//! Chance that is handed in, divided among those who use it: how often one room draws does not
//! change what another gets.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A generator of its own, with a seed that is drawn.
pub(crate) fn split(chance: &mut ChaCha8Rng) -> ChaCha8Rng {
    let mut seed = [0; 32];
    chance.fill_bytes(&mut seed);
    ChaCha8Rng::from_seed(seed)
}

/// A generator of its own without a draw: the next stream of the same seed. ChaCha has 2^64 of them,
/// and none tells anything of another.
pub(crate) fn next_stream(chance: &ChaCha8Rng) -> ChaCha8Rng {
    let mut next = chance.clone();
    next.set_stream(chance.get_stream().wrapping_add(1));
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_stream_gives_other_numbers_and_takes_none() {
        let mut chance = ChaCha8Rng::seed_from_u64(1);
        let (mut same, mut next) = (chance.clone(), next_stream(&chance));
        let mut after_next = next_stream(&next);
        let drawn = [&mut chance, &mut same, &mut next, &mut after_next].map(|c| c.next_u64());
        assert_eq!(drawn[0], drawn[1]);
        assert!(drawn[0] != drawn[2] && drawn[0] != drawn[3] && drawn[2] != drawn[3]);
    }
}
