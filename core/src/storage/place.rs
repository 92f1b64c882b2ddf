//! Where records stood, told by the records themselves.
//!
//! The head of a segment says at which position its first record stands, and each record's checksum
//! covers its own position. So when a head has gone bad, the checksums tell what it said: a CRC can
//! be run backwards, from its value over a record to the state that the position's eight bytes have
//! left, and to any upper half of a position there is one lower half that leaves it. The upper half
//! is nearly known, since a record says up to where the journal was synced when it was written, and
//! stands less than 4 GiB behind that.
//!
//! Any bytes tell some position in this way. So it is taken only if something else says the same:
//! the record behind it, or what is known of the place.
//!
//! Rejected: trying the positions at which the file might begin, from the end of the one before it
//! to the beginning of the one behind it. It needs both to be there and sound.

use super::frame::{self, FileKind};

/// The position of the first of these bytes, among which the records of a segment stand. `expected`
/// is where it should be. `None` if nothing is sound but records that stand alone, at a place that
/// nothing else tells.
pub(crate) fn base_of(bytes: &[u8], expected: Option<u64>) -> Option<u64> {
    (0..bytes.len()).find_map(|at| {
        let expected = expected.map(|base| base + at as u64);
        position_of(&bytes[at..], expected)?.checked_sub(at as u64)
    })
}

/// The position of the record at the beginning of `bytes`.
fn position_of(bytes: &[u8], expected: Option<u64>) -> Option<u64> {
    let outline = frame::outline(bytes, FileKind::Segment)?;
    // The first record of a segment stands where all before it was synced, and so does nearly every
    // one that is written with a sync before each answer.
    let known = [expected, Some(outline.synced)].into_iter().flatten();
    if let Some(position) = known.into_iter().find(|position| is_sound(bytes, *position)) {
        return Some(position);
    }
    let (record, behind) = bytes.split_at(outline.bytes);
    frame::outline(behind, FileKind::Segment)?;
    positions(record, outline.synced)
        .find(|position| is_sound(behind, position + outline.bytes as u64))
}

fn is_sound(bytes: &[u8], position: u64) -> bool {
    matches!(frame::read(bytes, position, FileKind::Segment), Ok(Some(_)))
}

/// The positions up to 4 GiB behind `synced` at which this record has the checksum that it has.
fn positions(record: &[u8], synced: u64) -> impl Iterator<Item = u64> {
    let checked = record[8..].iter().rev().chain(record[..4].iter().rev());
    let behind_position = checked.fold(!frame::crc(record), |state, byte| back(state, *byte));
    let whole = move |high: u32| {
        let between = high.to_le_bytes().into_iter().rev().fold(behind_position, back);
        // Four bytes do to a state what four zeros do to the state with the bytes added to it.
        let low = !(0..4).fold(between, |state, _| back(state, 0));
        u64::from(high) << 32 | u64::from(low)
    };
    let high = (synced >> 32) as u32;
    [high, high.wrapping_add(1)]
        .into_iter()
        .map(whole)
        .filter(move |position| position.wrapping_sub(synced) < 1 << 32)
}

/// The state from which a byte led to this one.
fn back(state: u32, byte: u8) -> u32 {
    let index = INDEX[(state >> 24) as usize];
    (state ^ TABLE[index as usize]) << 8 | u32::from(index ^ byte)
}

/// What CRC-32C (Castagnoli, reflected) adds for each lowest byte of a state.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut state = index as u32;
        let mut bit = 0;
        while bit < 8 {
            state = if state & 1 == 1 { state >> 1 ^ 0x82f6_3b78 } else { state >> 1 };
            bit += 1;
        }
        table[index] = state;
        index += 1;
    }
    table
};

/// Where in [`TABLE`] the value with this highest byte stands: each has another one.
const INDEX: [u8; 256] = {
    let mut places = [0; 256];
    let mut index = 0;
    while index < 256 {
        places[(TABLE[index] >> 24) as usize] = index as u8;
        index += 1;
    }
    places
};

#[cfg(test)]
mod tests {
    use super::super::record::{self, MARK};
    use super::*;
    use crate::delta::{Change, Delta};
    use crate::identity::OriginId;
    use crate::slot::{Numbers, Slot};

    /// Some records of different lengths, and how long each is.
    fn records(count: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut records, mut lengths) = (Vec::new(), Vec::new());
        for n in 0..count {
            let before = records.len();
            let name = "x".repeat(1 + n as usize % 200);
            let changes =
                vec![Change::slot(&name, Slot::from(Numbers { plus: n, ..Numbers::default() }))];
            let delta = Delta { origin: OriginId(n << 50 | 7), after: n, upto: n + 1, changes };
            record::append_delta(&mut records, &delta);
            lengths.push(records.len() - before);
        }
        (records, lengths)
    }

    /// Positions at the edges of what two halves hold, and between.
    const BASES: [u64; 8] = [
        0,
        1,
        64 << 20,
        (1 << 32) - 3,
        1 << 32,
        (7 << 32) - 100,
        0x1234_5678_9abc_def0 >> 8,
        1 << 50,
    ];

    #[test]
    fn a_byte_is_taken_back_by_what_put_it_there() {
        for (state, byte) in [(0_u32, 0_u8), (!0, 255), (0x1234_5678, 0x9a), (1, 1)] {
            let after = !crc32c::crc32c_append(!state, &[byte]);
            assert_eq!(back(after, byte), state);
        }
    }

    #[test]
    fn a_record_stands_at_one_of_the_positions_that_its_checksum_allows() {
        for base in BASES {
            for before in [0, 1, 1000, (1 << 32) - 1] {
                let (mut record, _) = records(1);
                let synced = u64::saturating_sub(base, before);
                frame::seal(&mut record, base, synced).unwrap();
                let found: Vec<u64> = positions(&record, synced).collect();
                assert!(found.contains(&base), "{base}, synced {synced}: {found:?}");
                assert!(found.iter().all(|position| is_sound(&record, *position)), "{found:?}");
            }
        }
    }

    #[test]
    fn two_records_that_follow_each_other_tell_where_the_first_byte_stands() {
        for base in BASES {
            let (mut sound, lengths) = records(5);
            frame::seal(&mut sound, base, base.saturating_sub(5000)).unwrap();
            assert_eq!(base_of(&sound, None), Some(base), "{base}");
            // The first of them are lost, with their lengths.
            let mut lost = 0;
            for (at, length) in lengths.iter().enumerate() {
                sound[lost..lost + length].fill(0xa5);
                lost += length;
                let expected = (at < 3).then_some(base);
                assert_eq!(base_of(&sound, None), expected, "{base}, without {at}");
            }
        }
    }

    #[test]
    fn a_record_that_stands_alone_tells_nothing_unless_its_place_is_known_otherwise() {
        let (base, synced) = (1000, 900);
        let (mut sound, lengths) = records(3);
        frame::seal(&mut sound, base, synced).unwrap();
        sound[10] ^= 1;
        sound[lengths[0] + lengths[1] + 10] ^= 1;
        assert_eq!(base_of(&sound, None), None);
        assert_eq!(base_of(&sound, Some(base + 1)), None);
        assert_eq!(base_of(&sound, Some(base)), Some(base));
        // It says itself that all before it was synced.
        let middle = lengths[0]..lengths[0] + lengths[1];
        let position = base + middle.start as u64;
        frame::seal(&mut sound[middle], position, position).unwrap();
        assert_eq!(base_of(&sound, None), Some(base));
    }

    #[test]
    fn bytes_that_are_no_records_tell_nothing() {
        assert_eq!(base_of(&[], None), None);
        assert_eq!(base_of(&[0; 100], Some(0)), None);
        assert_eq!(base_of(&[MARK; 100], Some(0)), None);
        let (mut sound, _) = records(2);
        frame::seal(&mut sound, 0, 0).unwrap();
        assert_eq!(base_of(&sound[..sound.len() - 1], None), Some(0), "the first is whole");
        assert_eq!(base_of(&sound[1..], None), None, "it cannot stand before the beginning");
    }
}
