//! Histograms as text: HdrHistogram's V2 encodings in base64, which every implementation reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};

fn text(histogram: &Histogram<u64>, mut serializer: impl Serializer) -> String {
    let mut bytes = Vec::new();
    // The error's type is the serializer's own.
    let Ok(_) = serializer.serialize(histogram, &mut bytes) else {
        unreachable!("a Vec takes all bytes, and a histogram's size fits a u32");
    };
    STANDARD.encode(bytes)
}

/// The V2 encoding, base64.
#[must_use]
pub fn encode(histogram: &Histogram<u64>) -> String {
    text(histogram, V2Serializer::new())
}

/// The V2 encoding, compressed, base64.
#[must_use]
pub fn encode_compressed(histogram: &Histogram<u64>) -> String {
    text(histogram, V2DeflateSerializer::new())
}

/// The histogram that either of the two wrote.
///
/// # Errors
/// When the text is neither base64 nor a histogram.
pub fn decode(text: &str) -> anyhow::Result<Histogram<u64>> {
    let bytes = STANDARD.decode(text)?;
    Ok(Deserializer::new().deserialize(&mut bytes.as_slice())?)
}

/// For `#[serde(with)]`: a histogram as text.
pub(super) mod as_text {
    use hdrhistogram::Histogram;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::recorder) fn serialize<S: Serializer>(
        histogram: &Histogram<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::encode_compressed(histogram))
    }

    pub(in crate::recorder) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Histogram<u64>, D::Error> {
        super::decode(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The same for a histogram that may be missing.
pub(super) mod as_text_or_null {
    use hdrhistogram::Histogram;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::recorder) fn serialize<S: Serializer>(
        histogram: &Option<Histogram<u64>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        histogram
            .as_ref()
            .map(super::encode_compressed)
            .serialize(serializer)
    }

    pub(in crate::recorder) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Histogram<u64>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::decode(&text))
            .transpose()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::recorder::Recording;
    use crate::scenario::built_in;

    #[test]
    fn both_encodings_are_read_back() {
        let histogram = fixtures::recording(&built_in("20p20c").unwrap()).response;
        for text in [encode(&histogram), encode_compressed(&histogram)] {
            assert_eq!(decode(&text).unwrap(), histogram);
        }
        assert!(encode_compressed(&histogram).starts_with("HISTF"));
        assert!(decode("not base64!").is_err() && decode("AAAA").is_err());
    }

    #[test]
    fn a_recording_survives_its_journey() {
        let recording = fixtures::recording(&built_in("crash").unwrap());
        let text = serde_json::to_string(&recording).unwrap();
        let read: Recording = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (read.response, read.confirm),
            (recording.response, recording.confirm)
        );
        assert_eq!(
            (read.ledger, read.recoveries),
            (recording.ledger, recording.recoveries)
        );
    }
}
