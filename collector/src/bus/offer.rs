//! A D-Bus variant as an event's value.

use hubbub_privacy::Private;
use zbus::Variant;

use crate::event::Offer;

/// What a variant offers. Integers that do not fit count as the nearest that does: domains clamp anyway.
pub fn offer(value: &Variant<'_>) -> Private<Offer> {
    Private::new(match value {
        Variant::Bool(truth) => Offer::Boolean(*truth),
        Variant::Str(label) => Offer::Label(label.to_string()),
        Variant::U8(number) => Offer::Number((*number).into()),
        Variant::I16(number) => Offer::Number((*number).into()),
        Variant::U16(number) => Offer::Number((*number).into()),
        Variant::I32(number) => Offer::Number((*number).into()),
        Variant::U32(number) => Offer::Number((*number).into()),
        Variant::I64(number) => Offer::Number(*number),
        Variant::U64(number) => Offer::Number(i64::try_from(*number).unwrap_or(i64::MAX)),
        Variant::Array(items) => labels(items).unwrap_or_else(|| other(value)),
        _ => other(value),
    })
}

fn labels(items: &zbus::Array<'_>) -> Option<Offer> {
    let is_strings = *items.element_signature() == zbus::wire::Signature::Str;
    let label = |item: &Variant<'_>| if let Variant::Str(label) = item { Some(label.to_string()) } else { None };
    is_strings.then(|| items.inner().iter().map(label).collect::<Option<Vec<_>>>().map(Offer::Labels))?
}

fn other(value: &Variant<'_>) -> Offer {
    Offer::Other(value.value_signature().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_type_is_a_number_and_only_strings_make_a_set() {
        for value in [
            Variant::U8(7),
            Variant::I16(7),
            Variant::U16(7),
            Variant::I32(7),
            Variant::U32(7),
            Variant::I64(7),
            Variant::U64(7),
        ] {
            assert!(*offer(&value).expose() == Offer::Number(7));
        }
        assert!(*offer(&Variant::U64(u64::MAX)).expose() == Offer::Number(i64::MAX));
        assert!(*offer(&Variant::from(vec!["a", "b"])).expose() == Offer::Labels(vec!["a".into(), "b".into()]));
        assert!(*offer(&Variant::from(vec![1i32])).expose() == Offer::Other("ai".into()));
        assert!(*offer(&Variant::F64(1.0)).expose() == Offer::Other("d".into()));
    }
}
