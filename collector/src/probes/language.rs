//! `locale.language`: the language of the system's locale, from the files that localed and Debian write.

use std::path::Path;

/// systemd's file first, Debian's older one second.
const FILES: [&str; 2] = ["etc/locale.conf", "etc/default/locale"];

pub(super) fn read(root: &Path) -> Option<String> {
    let locale = FILES.iter().filter_map(|file| super::text(root, file)).find_map(|text| lang(&text))?;
    let language = locale.split(['_', '.', '@']).next().unwrap_or_default();
    match language {
        "" | "C" | "POSIX" => None,
        language => Some(language.to_owned()),
    }
}

/// The value of the last `LANG=` line: these files are shell assignments, where the last one wins.
fn lang(text: &str) -> Option<String> {
    let value = text.lines().rev().find_map(|line| line.trim().strip_prefix("LANG="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_what_stands_before_country_charset_and_modifier() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        for (conf, language) in [
            ("LANG=de_AT.UTF-8\nLC_TIME=C\n", Some("de")),
            ("LC_TIME=fr_FR\nLANG=\"pt_BR.UTF-8\"\n", Some("pt")),
            ("LANG='ca@valencia'", Some("ca")),
            ("# LANG=de\nLANG=eo", Some("eo")),
            ("LANG=de\nLANG=nl_BE\n", Some("nl")),
            ("LANG=C.UTF-8", None),
            ("LANG=POSIX", None),
            ("LANG=", None),
            ("LANGUAGE=de", None),
        ] {
            std::fs::write(dir.path().join("etc/locale.conf"), conf).unwrap();
            assert_eq!(read(dir.path()).as_deref(), language, "{conf}");
        }
    }
}
