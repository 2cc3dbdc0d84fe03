//! The table of cell styles as data: what a cell's type and decimals mean for its number format. Which `cellXfs` index each style has is
//! decided by whoever writes `styles.xml`.

/// A cell style. The set is fixed, so that the ids in pages do not depend on the rows of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StyleId(u8);

/// Largest number of decimals that a number format keeps.
pub const DECIMALS_MAX: u8 = 15;

const NUMBER_FIRST: u8 = 4;
const NUMBER_FORMATS: [&str; DECIMALS_MAX as usize + 1] = [
    "0",
    "0.0",
    "0.00",
    "0.000",
    "0.0000",
    "0.00000",
    "0.000000",
    "0.0000000",
    "0.00000000",
    "0.000000000",
    "0.0000000000",
    "0.00000000000",
    "0.000000000000",
    "0.0000000000000",
    "0.00000000000000",
    "0.000000000000000",
];

impl StyleId {
    /// Text, and anything else without a number format.
    pub const TEXT: StyleId = StyleId(0);
    /// `TRUE` or `FALSE`.
    pub const BOOLEAN: StyleId = StyleId(1);
    /// A day.
    pub const DATE: StyleId = StyleId(2);
    /// A day and a time.
    pub const DATETIME: StyleId = StyleId(3);
    /// A link to a web page.
    pub const LINK: StyleId = StyleId(NUMBER_FIRST + NUMBER_FORMATS.len() as u8);
    /// How many styles there are.
    pub const COUNT: usize = StyleId::LINK.index() + 1;

    /// A number shown with this many decimals, [`DECIMALS_MAX`] at most.
    pub const fn number(decimals: u8) -> StyleId {
        StyleId(NUMBER_FIRST + if decimals < DECIMALS_MAX { decimals } else { DECIMALS_MAX })
    }
    /// Every style, by [`StyleId::index`].
    pub fn all() -> impl Iterator<Item = StyleId> {
        (0..Self::COUNT as u8).map(StyleId)
    }
    /// Place in a table of [`StyleId::COUNT`] entries.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
    /// The number format as Excel writes it; `None` for the general one.
    pub fn num_format(self) -> Option<&'static str> {
        match self {
            StyleId::TEXT | StyleId::BOOLEAN | StyleId::LINK => None,
            StyleId::DATE => Some("yyyy-mm-dd"),
            StyleId::DATETIME => Some("yyyy-mm-dd hh:mm:ss"),
            StyleId(number) => Some(NUMBER_FORMATS[usize::from(number - NUMBER_FIRST)]),
        }
    }
    /// Decimals that it shows; `None` for what is no number.
    pub fn decimals(self) -> Option<u8> {
        self.0.checked_sub(NUMBER_FIRST).filter(|_| self != StyleId::LINK)
    }
    /// The style at this place of the table.
    pub(super) fn from_index(index: u8) -> StyleId {
        debug_assert!(usize::from(index) < Self::COUNT);
        StyleId(index)
    }
}

/// The place of each style among the `cellXfs` of one workbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Styles([u16; StyleId::COUNT]);

impl Styles {
    /// `indexes[style.index()]` is the number that cells of this style carry as `s="…"`; a cell with 0 carries none.
    pub fn new(indexes: [u16; StyleId::COUNT]) -> Styles {
        Styles(indexes)
    }
    /// The `cellXfs` index of a style.
    pub fn index(&self, style: StyleId) -> u16 {
        self.0[style.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_formats_keep_the_decimals() {
        assert_eq!(StyleId::number(0).num_format(), Some("0"));
        for decimals in 1..=DECIMALS_MAX {
            let format = StyleId::number(decimals).num_format().expect("numbers have a format");
            assert_eq!(format.len(), 2 + usize::from(decimals));
            assert!(format.starts_with("0.") && format[2..].bytes().all(|byte| byte == b'0'));
        }
        assert_eq!(StyleId::number(40), StyleId::number(DECIMALS_MAX));
    }

    #[test]
    fn every_style_has_its_own_place() {
        let places: Vec<usize> = StyleId::all().map(StyleId::index).collect();
        assert_eq!(places, (0..StyleId::COUNT).collect::<Vec<_>>());
        let formats: std::collections::HashSet<_> = StyleId::all().filter_map(StyleId::num_format).collect();
        assert_eq!(formats.len(), StyleId::COUNT - 3);
    }
}
