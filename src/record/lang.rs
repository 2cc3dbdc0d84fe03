//! Languages of what people read, and how a text is declared in all of them at once. The texts themselves are elsewhere, above all in
//! [`messages`](super::messages).
//!
//! [`texts!`] declares an enum whose variants are sentences with typed values: one declaration is what the code constructs, the English
//! and the Korean. A text that lacks a language, names a value that it does not have, or leaves one out does not compile.

use std::fmt::{self, Debug, Display, Formatter};

use super::Offset;

/// Language of what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Lang {
    /// English.
    En,
    /// Korean.
    Ko,
}

/// A value inside a text.
pub(super) trait Shown {
    /// The value as it reads in a text of this language.
    fn shown(&self, lang: Lang) -> impl Display + Debug;
}

/// A text in every language.
pub(super) trait Text: Debug {
    /// Writes the text in one language.
    fn write(&self, lang: Lang, f: &mut Formatter<'_>) -> fmt::Result;
    /// The text in one language.
    fn say(&self, lang: Lang) -> String
    where
        Self: Sized,
    {
        Said { text: Some(self), lang }.to_string()
    }
}

/// Declares texts: `Variant { value: Type } en "… {value}" ko "{value}{eun} …" [eun(value)];`. The brackets name Korean particles that
/// depend on how a value ends; each is a function of [`particle`].
macro_rules! texts {
    ($(#[$meta:meta])* pub enum $Name:ident { $(
        $Variant:ident { $($field:ident: $kind:ty),* $(,)? }
            en $en:literal
            ko $ko:literal $([$($particle:ident($of:ident)),* $(,)?])?;
    )* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[allow(missing_docs)] // the values are named in the text
        pub enum $Name { $(#[doc = $en] $Variant { $($field: $kind),* },)* }

        impl $crate::record::lang::Text for $Name {
            fn write(&self, lang: $crate::record::Lang, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                #[allow(unused_imports)] // not every enum has texts with values
                use $crate::record::lang::{Shown, particle};
                match lang {
                    $crate::record::Lang::En => match self { $($Name::$Variant { $($field),* } => {
                        $(let $field = $field.shown(lang);)*
                        write!(f, $en)
                    })* },
                    $crate::record::Lang::Ko => match self { $($Name::$Variant { $($field),* } => {
                        $(let $field = $field.shown(lang);)*
                        $($(let $particle = particle::$particle(&$of);)*)?
                        write!(f, $ko)
                    })* },
                }
            }
        }

        impl $crate::record::lang::Shown for $Name {
            fn shown(&self, lang: $crate::record::Lang) -> impl std::fmt::Display + std::fmt::Debug {
                $crate::record::lang::Said { text: Some(self), lang }
            }
        }

        /// In English, as logs and records have it.
        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::record::lang::Text::write(self, $crate::record::Lang::En, f)
            }
        }
    };
}
pub(super) use texts;

/// A text that may be missing, in one language.
#[derive(Debug)]
pub(super) struct Said<'a, T> {
    pub(super) text: Option<&'a T>,
    pub(super) lang: Lang,
}

impl<T: Text> Display for Said<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.text.map_or(Ok(()), |text| text.write(self.lang, f))
    }
}

impl<T: Text> Shown for Option<T> {
    fn shown(&self, lang: Lang) -> impl Display + Debug {
        Said { text: self.as_ref(), lang }
    }
}

impl<T: Text> Shown for Box<T> {
    fn shown(&self, lang: Lang) -> impl Display + Debug {
        Said { text: Some(&**self), lang }
    }
}

/// Values that read the same in every language.
macro_rules! shown_as_they_are {
    ($($kind:ty),*) => { $(impl Shown for $kind {
        fn shown(&self, _lang: Lang) -> impl Display + Debug {
            self
        }
    })* };
}
shown_as_they_are!(usize, u64, u32, i32, i64, f64, String, Offset);

/// Korean particles, which depend on whether the last sound before them is a consonant.
pub(super) mod particle {
    use std::fmt::Display;

    /// How a word ends.
    #[derive(Clone, Copy)]
    enum Ending {
        Vowel,
        /// The consonant ㄹ, which takes 로 as a vowel does.
        Rieul,
        Consonant,
        /// A foreign word that people may pronounce either way.
        Unknown,
    }

    /// Topic: 은 or 는.
    pub(crate) fn eun(word: &impl Display) -> &'static str {
        choose(word, ["는", "은", "은", "은(는)"])
    }

    /// Subject: 이 or 가.
    pub(crate) fn i(word: &impl Display) -> &'static str {
        choose(word, ["가", "이", "이", "이(가)"])
    }

    /// Object: 을 or 를.
    pub(crate) fn eul(word: &impl Display) -> &'static str {
        choose(word, ["를", "을", "을", "을(를)"])
    }

    /// Direction or means: 으로 or 로.
    pub(crate) fn ro(word: &impl Display) -> &'static str {
        choose(word, ["로", "로", "으로", "(으)로"])
    }

    fn choose(word: &impl Display, forms: [&'static str; 4]) -> &'static str {
        forms[ending(&word.to_string()) as usize]
    }

    /// Digits are read as 영 일 이 삼 사 오 육 칠 팔 구, capitals by their names (엘, 엠, 엔, 알 end in consonants).
    fn ending(word: &str) -> Ending {
        let word = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        let mut backwards = word.chars().rev();
        let (last, before) = (backwards.next(), backwards.next());
        match last {
            Some(syllable @ '가'..='힣') => match (u32::from(syllable) - u32::from('가')) % 28 {
                0 => Ending::Vowel,
                8 => Ending::Rieul,
                _ => Ending::Consonant,
            },
            Some('1' | '7' | '8') => Ending::Rieul,
            Some('0' | '3' | '6') => Ending::Consonant,
            Some('2' | '4' | '5' | '9') => Ending::Vowel,
            Some(letter) if letter.is_ascii_alphabetic() => match before {
                Some(before) if before.is_lowercase() || letter.is_lowercase() && before.is_alphabetic() => {
                    Ending::Unknown
                }
                _ => match letter.to_ascii_uppercase() {
                    'L' | 'R' => Ending::Rieul,
                    'M' | 'N' => Ending::Consonant,
                    _ => Ending::Vowel,
                },
            },
            Some(_) | None => Ending::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::particle::{eul, eun, i, ro};

    #[test]
    fn particles_follow_the_last_sound() {
        for (word, expected) in [
            ("값", ["은", "이", "을", "으로"]),
            ("경도", ["는", "가", "를", "로"]),
            ("서울", ["은", "이", "을", "로"]),
            ("'확인 중'", ["은", "이", "을", "으로"]),
            ("127.5", ["는", "가", "를", "로"]),
            ("EPSG:5181", ["은", "이", "을", "로"]),
            ("EPSG:4326", ["은", "이", "을", "으로"]),
            ("X", ["는", "가", "를", "로"]),
            ("y", ["는", "가", "를", "로"]),
            ("XML", ["은", "이", "을", "로"]),
            ("district", ["은(는)", "이(가)", "을(를)", "(으)로"]),
            ("?", ["은(는)", "이(가)", "을(를)", "(으)로"]),
            ("", ["은(는)", "이(가)", "을(를)", "(으)로"]),
        ] {
            assert_eq!([eun(&word), i(&word), eul(&word), ro(&word)], expected, "{word}");
        }
    }
}
