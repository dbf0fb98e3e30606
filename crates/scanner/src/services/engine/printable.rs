//! Banners that can be shown.

/// Longest banner kept, in characters.
const LONGEST: usize = 512;

/// Lossily decoded and cut. Line breaks and tabs become one space, everything else that cannot be seen, moves the cursor or turns
/// the direction of the text becomes a dot.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut shown = String::new();
    let (mut count, mut after_space) = (0, true);
    for character in String::from_utf8_lossy(&bytes[..bytes.len().min(8 * LONGEST)]).chars() {
        if count == LONGEST {
            break;
        }
        let character = match character {
            '\r' | '\n' | '\t' | ' ' if after_space => continue,
            '\r' | '\n' | '\t' | ' ' => ' ',
            hidden if is_hidden(hidden) => '.',
            visible => visible,
        };
        after_space = character == ' ';
        shown.push(character);
        count += 1;
    }
    shown.truncate(shown.trim_end().len());
    shown
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_banner_cannot_move_the_cursor() {
        assert_eq!(printable(b"220 hi\r\n220\tthere \x1b[2J\x07\r\n"), "220 hi 220 there .[2J.");
        assert_eq!(printable("a\u{202e}b\u{200b}c".as_bytes()), "a.b.c");
        assert_eq!(printable(&[0xff; 4]), "\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(printable(&[b'x'; 10_000]).len(), LONGEST);
    }

    proptest! {
        #[test]
        fn any_banner_can_be_shown(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
            let shown = printable(&bytes);
            prop_assert!(shown.chars().count() <= LONGEST);
            prop_assert!(!shown.chars().any(is_hidden));
        }
    }
}
