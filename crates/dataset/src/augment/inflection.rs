//! The regular forms of English words, as far as a replacement must agree with what it replaces.

use wordnet_types::Pos;

/// What was done to a dictionary form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    Base,
    /// Plural noun or third person.
    S,
    /// Present participle.
    Ing,
}

/// The form that an inflected word ends in; none for others, which are left alone: irregular
/// words, comparatives, and past forms, since no list tells which synonym has a regular one.
pub(super) fn form(word: &str, pos: Pos) -> Option<Form> {
    match pos {
        Pos::Noun | Pos::Verb if word.ends_with('s') => Some(Form::S),
        Pos::Verb if word.ends_with("ing") => Some(Form::Ing),
        _ => None,
    }
}

/// `base` in `form`, its last word for nouns of several words; none where the rule is unsure.
pub(super) fn inflect(base: &str, form: Form) -> Option<String> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| base.ends_with(ending));
    let consonant_y = base.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match form {
        Form::Base => Some(base.to_owned()),
        Form::S => Some(match consonant_y {
            Some(stem) => format!("{stem}ies"),
            None if ends(&["s", "x", "z", "ch", "sh"]) => format!("{base}es"),
            None => format!("{base}s"),
        }),
        // Phrasal verbs inflect their first word, and short ones double a letter: both are left alone.
        Form::Ing if base.contains(' ') || doubles(base) => None,
        Form::Ing => Some(match base.strip_suffix('e').filter(|stem| !stem.ends_with(['e', 'o', 'y', 'i'])) {
            Some(stem) => format!("{stem}ing"),
            None => format!("{base}ing"),
        }),
    }
}

/// Whether a verb may double its last letter: consonant, vowel, consonant at the end.
fn doubles(verb: &str) -> bool {
    let vowel = |byte: &u8| b"aeiou".contains(byte);
    match verb.as_bytes() {
        [.., before, middle, last] => !vowel(before) && vowel(middle) && !vowel(last) && !b"wxy".contains(last),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_forms() {
        for (base, form, expected) in [
            ("box", Form::S, Some("boxes")),
            ("battery", Form::S, Some("batteries")),
            ("tray", Form::S, Some("trays")),
            ("office chair", Form::S, Some("office chairs")),
            ("prepare", Form::Ing, Some("preparing")),
            ("clean", Form::Ing, Some("cleaning")),
            ("cut", Form::Ing, None),
            ("clean up", Form::Ing, None),
        ] {
            assert_eq!(inflect(base, form).as_deref(), expected, "{base} {form:?}");
        }
    }
}
