//! Canonical JSON (RFC 8785) of TOML tables: what digests and approvals are computed over.

use sha2::{Digest, Sha256};
use toml::Value;

/// The largest integer that every JSON reader holds exactly, 2^53 - 1; RFC 8785 writes no larger one faithfully.
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// `sha256:<lower-case hex>` of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The canonical JSON of a value; dates become strings. Gives the offending text for what has no canonical form here:
/// floats (every figure in a registry is a string or an integer) and integers beyond 2^53.
pub fn to_json(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String) -> Result<(), String> {
    match value {
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Integer(number) if number.unsigned_abs() <= MAX_INTEGER => out.push_str(&number.to_string()),
        Value::Integer(number) => return Err(number.to_string()),
        Value::Float(number) => return Err(number.to_string()),
        Value::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Datetime(date) => out.push_str(&quoted(&date.to_string())),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Table(table) => {
            let mut keys: Vec<&String> = table.keys().collect();
            keys.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (n, key) in keys.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(key));
                out.push(':');
                write(&table[key], out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("strings serialize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_by_utf16_and_strings_escaped_as_rfc_8785_says() {
        let table: Value = toml::from_str(
            "\"\u{20ac}\" = \"Euro\"\n\"\\r\" = \"Carriage Return\"\n\"\u{1f600}\" = \"Smile\"\n\"\u{fb33}\" = \"Dalet\"\n1 = \"One\"\ndate = 2026-11-01\nnested = { b = [1, true], a = \"\\u0001\\\"\\\\/\" }",
        )
        .unwrap();
        let json = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"date\":\"2026-11-01\",\"nested\":{\"a\":\"\\u0001\\\"\\\\/\",\"b\":[1,true]},\"\u{20ac}\":\"Euro\",\"\u{1f600}\":\"Smile\",\"\u{fb33}\":\"Dalet\"}";
        assert_eq!(to_json(&table).unwrap(), json);
    }

    #[test]
    fn numbers_without_an_exact_form_are_refused() {
        for text in ["x = 0.1", "x = 9007199254740992", "x = nan"] {
            assert!(to_json(&toml::from_str(text).unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn digests_are_those_of_sha256sum() {
        assert_eq!(sha256(b"abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
