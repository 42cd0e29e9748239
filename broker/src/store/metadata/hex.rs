//! Octets as lower-case hexadecimal digits.

/// Two digits an octet.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(digit).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    let is_whole = pairs.remainder().is_empty();
    is_whole.then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn digit(character: char) -> Option<u8> {
    match character {
        'A'..='F' => None,
        other => other.to_digit(16).map(|value| value as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).unwrap(), all);
        assert_eq!(encode(b"\0\xaf"), "00af");
        for text in ["0", "0g", "AF", "é0", "000"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
