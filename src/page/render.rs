//! Renders rows as sheet XML (ECMA-376 part 1, 18.3.1), and notes where in it their cells are.

use super::styles::{StyleId, Styles};
use super::xml;

/// The form of a piece of a row. Cells of one kind begin alike behind their reference, and those of one [`Kind::ending`] end alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    /// Text.
    pub(super) const TEXT: Kind = Kind(StyleId::TEXT.index() as u8);
    /// A number without decimals.
    pub(super) const INTEGER: Kind = Kind(StyleId::number(0).index() as u8);
    /// Text whose outer blanks are to be kept.
    pub(super) const PRESERVED: Kind = Kind(StyleId::COUNT as u8);
    /// The opening tag of a row.
    pub(super) const ROW: Kind = Kind(Kind::PRESERVED.0 + 1);
    /// A cell without a value; there are none where cells have references.
    pub(super) const BLANK: Kind = Kind(Kind::PRESERVED.0 + 2);
    /// How many kinds there are.
    pub(super) const COUNT: usize = StyleId::COUNT + 3;
    /// How many endings there are.
    pub(super) const ENDINGS: usize = 3;

    /// Place in a table of [`Kind::COUNT`] entries.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
    /// True for text, and for the addresses of links.
    #[inline]
    pub(super) fn is_text(self) -> bool {
        const TEXTS: u32 = 1 << Kind::TEXT.0 | 1 << Kind::PRESERVED.0 | 1 << StyleId::LINK.index();
        TEXTS >> self.0 & 1 == 1
    }
    /// How it ends, below [`Kind::ENDINGS`].
    pub(super) fn ending(self) -> usize {
        match self {
            Kind::TEXT | Kind::PRESERVED => 0,
            Kind::ROW | Kind::BLANK => 1,
            _ => 2,
        }
    }
}

/// The place of a piece of a row: `</v></c><c r="B` 17 `" s="4"><v>` 1.50. The first is the row's own tag, in column 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub column: u32,
    pub kind: Kind,
    /// First byte of the row number; without references `opening`.
    pub number: u32,
    /// First byte behind the row number.
    pub opening: u32,
    /// First byte of the value.
    pub value: u32,
    /// First byte behind the value.
    pub end: u32,
}

impl Span {
    /// True when it has a row number.
    pub(super) fn is_numbered(&self) -> bool {
        self.number < self.opening
    }
}

/// Renders the rows of one segment after the other.
#[derive(Debug)]
pub(super) struct Renderer {
    cell_refs: bool,
    /// By kind: from behind the row number to the value.
    openings: [Fragment<64>; Kind::COUNT],
    /// By column: up to the row number.
    leads: Vec<Fragment<16>>,
    number: Fragment<16>,
    row: u32,
    column: u32,
    xml: Buffer,
    cells: Vec<Span>,
}

/// A page of a thousand rows is half of this.
const XML_BYTES_KEPT: usize = 1 << 20;

/// By ending: what comes behind the value.
const ENDINGS: [Fragment<16>; Kind::ENDINGS] =
    [Fragment::new(b"</t></is></c>"), Fragment::new(b""), Fragment::new(b"</v></c>")];

impl Renderer {
    pub(super) fn new(styles: &Styles, cell_refs: bool) -> Renderer {
        let quote = if cell_refs { "\"" } else { "" };
        let opening = |style: StyleId, rest: &str| {
            let index = styles.index(style);
            let style = if index == 0 { String::new() } else { format!(" s=\"{index}\"") };
            Fragment::new(format!("{quote}{style}{rest}").as_bytes())
        };
        let mut openings = [Fragment::new(b""); Kind::COUNT];
        for style in StyleId::all() {
            openings[style.index()] = opening(
                style,
                match style {
                    StyleId::TEXT => " t=\"inlineStr\"><is><t>",
                    StyleId::BOOLEAN => " t=\"b\"><v>",
                    StyleId::LINK => " t=\"str\"><f>HYPERLINK(\"",
                    _ => "><v>",
                },
            );
        }
        openings[Kind::PRESERVED.index()] = opening(StyleId::TEXT, " t=\"inlineStr\"><is><t xml:space=\"preserve\">");
        openings[Kind::ROW.index()] = Fragment::new(if cell_refs { b"\">" } else { b">" });
        openings[Kind::BLANK.index()] = Fragment::new(b"/>");
        let leads = vec![Fragment::new(if cell_refs { b"<row r=\"" } else { b"<row" })];
        Renderer {
            cell_refs,
            openings,
            leads,
            number: Fragment::new(b""),
            row: 0,
            column: 0,
            xml: Buffer::default(),
            cells: Vec::new(),
        }
    }

    /// Begins a segment whose first row has this number.
    pub(super) fn start(&mut self, first_row: u32) {
        self.row = first_row;
        self.column = 0;
        self.xml.length = 0;
        self.cells.clear();
    }

    /// Ends a segment. A buffer that an unusual one has made large is given back.
    pub(super) fn finish(&mut self) {
        if self.xml.bytes.len() > XML_BYTES_KEPT {
            self.xml = Buffer::default();
        }
    }

    /// The XML of the segment so far.
    pub(super) fn xml(&self) -> &[u8] {
        &self.xml.bytes[..self.xml.length]
    }

    /// The XML so far, and the pieces of the row that has just ended.
    pub(super) fn row(&self) -> (&[u8], &[Span]) {
        (self.xml(), &self.cells)
    }

    /// Adds a cell; its value is not escaped yet.
    #[inline]
    pub(super) fn cell(&mut self, style: StyleId, value: &[u8]) {
        self.begin_row();
        if style == StyleId::TEXT {
            let text = xml::Classes::of(value);
            let kind = if text.must_preserve(value) { Kind::PRESERVED } else { Kind::TEXT };
            self.piece(kind, |out| {
                if text.is_plain() {
                    out.put_slice(value)
                } else {
                    xml::escape(value, |bytes: &[u8]| out.put_slice(bytes))
                }
            });
        } else {
            self.piece(Kind(style.index() as u8), |out| out.put_slice(value));
        }
    }

    /// Adds a cell without a value.
    pub(super) fn blank(&mut self) {
        self.begin_row();
        if self.cell_refs {
            self.column += 1;
        } else {
            self.piece(Kind::BLANK, |_| ());
        }
    }

    /// Ends the row.
    pub(super) fn end_row(&mut self) {
        self.begin_row();
        self.xml.put_slice(b"</row>");
        self.row += 1;
        self.column = 0;
    }

    /// Adds the opening tag of a row before its first cell.
    #[inline]
    fn begin_row(&mut self) {
        if self.column > 0 {
            return;
        }
        self.cells.clear();
        if self.cell_refs {
            self.number = Fragment::new(itoa::Buffer::new().format(self.row).as_bytes());
        }
        self.piece(Kind::ROW, |_| ());
    }

    #[inline]
    fn piece(&mut self, kind: Kind, value: impl FnOnce(&mut Buffer)) {
        let column = self.column as usize;
        while column >= self.leads.len() {
            self.add_lead();
        }
        let out = &mut self.xml;
        out.put(&self.leads[column]);
        let number = out.length as u32;
        out.put(&self.number);
        let opening = out.length as u32;
        out.put(&self.openings[kind.index()]);
        let value_at = out.length as u32;
        value(out);
        let end = out.length as u32;
        out.put(&ENDINGS[kind.ending()]);
        self.cells.push(Span { column: self.column, kind, number, opening, value: value_at, end });
        self.column += 1;
    }

    #[cold]
    fn add_lead(&mut self) {
        let mut lead = b"<c".to_vec();
        if self.cell_refs {
            lead.extend_from_slice(b" r=\"");
            xml::column_name(self.leads.len() as u32 - 1, &mut lead);
        }
        self.leads.push(Fragment::new(&lead));
    }
}

/// A few bytes that are copied as one block of fixed size.
#[derive(Clone, Copy, Debug)]
struct Fragment<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Fragment<N> {
    const fn new(bytes: &[u8]) -> Fragment<N> {
        let mut fragment = Fragment { bytes: [0; N], length: bytes.len() };
        fragment.bytes.split_at_mut(bytes.len()).0.copy_from_slice(bytes);
        fragment
    }
}

/// Bytes with room behind them.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    #[inline(always)]
    fn put<const N: usize>(&mut self, fragment: &Fragment<N>) {
        let room = self.room(N);
        room[..16].copy_from_slice(&fragment.bytes[..16]);
        if fragment.length > 16 {
            room[16..N].copy_from_slice(&fragment.bytes[16..]);
        }
        self.length += fragment.length;
    }

    #[inline(always)]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    #[inline(always)]
    fn room(&mut self, length: usize) -> &mut [u8] {
        if self.bytes.len() - self.length < length {
            self.grow(length);
        }
        &mut self.bytes[self.length..]
    }

    #[cold]
    fn grow(&mut self, length: usize) {
        self.bytes.resize((self.length + length).max(4096).next_power_of_two(), 0);
    }
}
