//! The form of a text: what it looks like, whatever it says.

/// The bytes of a text that its mask is made of.
const MASKED_BYTES: usize = 256;

/// Words that programs write for the absence of a value.
const NOTHING: [&str; 14] = [
    "null",
    "NULL",
    "None",
    "nil",
    "undefined",
    "NaN",
    "nan",
    "N/A",
    "n/a",
    "#N/A",
    "(null)",
    "<null>",
    "[object Object]",
    "Infinity",
];

/// A kind of text that is known by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextKind {
    Empty,
    Integer,
    Decimal,
    Uuid,
    /// A calendar date, with or without a time.
    Date,
    /// Digits and separators as in a date, and no such day.
    ImpossibleDate,
    Email,
    Url,
    Ip,
    /// An object or a list of JSON within a string.
    Json,
    /// A word for the absence of a value: `null`, `N/A`.
    Nothing,
    Other,
}

impl TextKind {
    /// The kind in words, with its article.
    pub fn words(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Integer => "a whole number",
            Self::Decimal => "a decimal number",
            Self::Uuid => "a UUID",
            Self::Date => "a date",
            Self::ImpossibleDate => "a date that does not exist",
            Self::Email => "an e-mail address",
            Self::Url => "a URL",
            Self::Ip => "an IP address",
            Self::Json => "JSON in a string",
            Self::Nothing => "a word for no value",
            Self::Other => "another text",
        }
    }
}

/// The form of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextForm {
    pub kind: TextKind,
    /// The text with each run of letters, digits or spaces as one character.
    pub coarse_mask: u32,
    /// The text with each letter and digit as one character.
    pub fine_mask: u32,
    /// The number that the text holds: its value, or the time of a date in seconds.
    pub number: Option<f64>,
    pub marks: Marks,
}

/// Marks of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Has a digit.
    pub has_digit: bool,
    /// Has a space or a line break.
    pub has_space: bool,
    /// Has characters that are damaged: controls, replacement characters, UTF-8 read as Latin-1.
    pub is_damaged: bool,
    /// Has a character that is no letter and not ASCII, such as an emoji.
    pub has_symbol: bool,
    /// Has a small letter.
    pub has_small: bool,
    /// Has a capital letter.
    pub has_capital: bool,
}

impl TextForm {
    pub fn of(text: &str) -> Self {
        let masked = text.char_indices().nth(MASKED_BYTES).map_or(text, |(end, _)| text.get(..end).unwrap_or(text));
        let (mut coarse, mut fine) = (MASK_START, MASK_START);
        let mut last = '\0';
        let (mut has_digit, mut has_space, mut has_symbol) = (false, false, false);
        let (mut has_small, mut has_capital) = (false, false);
        for character in masked.chars() {
            let class = class_of(character);
            has_digit |= class == '9';
            has_space |= class == ' ';
            has_symbol |= class == '\u{1}';
            has_small |= class == 'a';
            has_capital |= class == 'A';
            if class != last || !matches!(class, '9' | 'A' | 'a' | ' ') {
                coarse = add_to_mask(coarse, class);
            }
            fine = add_to_mask(fine, class);
            last = class;
        }
        let (kind, number) = kind_of(text);
        Self {
            kind,
            coarse_mask: coarse,
            fine_mask: fine,
            number,
            marks: Marks { has_digit, has_space, is_damaged: is_damaged(text), has_symbol, has_small, has_capital },
        }
    }
}

const MASK_START: u32 = 0x811c_9dc5;

/// One step of the hash FNV-1a. A mask needs no hash that withstands attacks: who makes two forms equal hides a record
/// from one rule.
fn add_to_mask(mask: u32, class: char) -> u32 {
    (mask ^ u32::from(class)).wrapping_mul(0x0100_0193)
}

fn class_of(character: char) -> char {
    match character {
        '0'..='9' => '9',
        other if other.is_whitespace() => ' ',
        other if other.is_lowercase() => 'a',
        // A script without cases counts as capitals.
        other if other.is_alphabetic() => 'A',
        other if other.is_ascii() => other,
        _ => '\u{1}',
    }
}

/// Returns true if the text has controls, replacement characters, or the marks of UTF-8 that was read as Latin-1.
pub fn is_damaged(text: &str) -> bool {
    let mut previous = ' ';
    text.chars().any(|character| {
        let is_mojibake = matches!(previous, 'Ã' | 'Â') && ('\u{80}'..='\u{BF}').contains(&character);
        previous = character;
        is_mojibake
            || character == '\u{FFFD}'
            || (character.is_control() && !matches!(character, '\n' | '\r' | '\t'))
            || matches!(character, '\u{FFFE}' | '\u{FFFF}')
    })
}

fn kind_of(text: &str) -> (TextKind, Option<f64>) {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return (TextKind::Empty, None);
    }
    if let Some(kind) = number_kind(trimmed) {
        return (kind, trimmed.parse().ok().filter(|number: &f64| number.is_finite()));
    }
    if is_uuid(trimmed) {
        return (TextKind::Uuid, None);
    }
    match date(trimmed) {
        Some(Some(seconds)) => return (TextKind::Date, Some(seconds)),
        Some(None) => return (TextKind::ImpossibleDate, None),
        None => {}
    }
    let kind = if is_email(trimmed) {
        TextKind::Email
    } else if ["http://", "https://", "s3://", "ftp://"].iter().any(|scheme| trimmed.starts_with(scheme)) {
        TextKind::Url
    } else if trimmed.len() <= 45 && trimmed.parse::<std::net::IpAddr>().is_ok() {
        TextKind::Ip
    } else if trimmed.starts_with("{\"") || trimmed.starts_with("[{") {
        TextKind::Json
    } else if NOTHING.contains(&trimmed) {
        TextKind::Nothing
    } else {
        TextKind::Other
    };
    (kind, None)
}

fn number_kind(text: &str) -> Option<TextKind> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let are_digits =
        |text: &str| !text.is_empty() && text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_digit());
    match fraction {
        _ if !are_digits(whole) => None,
        None => Some(TextKind::Integer),
        Some(fraction) => are_digits(fraction).then_some(TextKind::Decimal),
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    !local.is_empty() && domain.contains('.') && !domain.contains('@') && !text.contains(char::is_whitespace)
}

/// The time of `YYYY-MM-DD`, with or without `THH:MM:SS` after it, in seconds. The inner `None` is a day or a time that
/// does not exist, the outer one is another text.
fn date(text: &str) -> Option<Option<f64>> {
    let (day, rest) = text.split_at_checked(10)?;
    let parts = fixed_numbers(day, b"9999-99-99")?;
    let (hours, minutes, seconds) = match rest.as_bytes().first() {
        None => (0, 0, 0),
        Some(b'T' | b't' | b' ') => {
            let time = rest.get(1..9)?;
            let [hours, minutes, seconds] = fixed_numbers(time, b"99:99:99")?[..3].try_into().ok()?;
            (hours, minutes, seconds)
        }
        Some(_) => return None,
    };
    let [year, month, day] = parts[..3].try_into().ok()?;
    let of_month = u8::try_from(month).ok().and_then(|month| time::Month::try_from(month).ok());
    let date = of_month.and_then(|month| {
        time::Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()
    });
    let is_time = hours < 24 && minutes < 60 && seconds <= 60;
    let seconds = |date: time::Date| {
        f64::from(date.to_julian_day()) * 86_400.0 + f64::from(hours * 3600 + minutes * 60 + seconds)
    };
    Some(date.filter(|_| is_time).map(seconds))
}

/// The numbers in a text of exactly this pattern, where 9 is a digit.
fn fixed_numbers(text: &str, pattern: &[u8]) -> Option<[u32; 3]> {
    let mut numbers = [0_u32; 3];
    let mut number = numbers.iter_mut();
    let mut current = number.next()?;
    if text.len() != pattern.len() {
        return None;
    }
    for (byte, wanted) in text.bytes().zip(pattern) {
        match wanted {
            b'9' if byte.is_ascii_digit() => *current = *current * 10 + u32::from(byte - b'0'),
            b'9' => return None,
            separator if byte == *separator => current = number.next()?,
            _ => return None,
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests;
