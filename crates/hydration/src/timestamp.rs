//! A point in time with milliseconds, the precision of arrival times in AWS.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const EPOCH: Self = Self(0);

    pub fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Rounds to the millisecond. The SDK reads a JSON float and truncates it to nanoseconds: 1545084650.987 becomes
    /// 986,999,988 nanoseconds. Without rounding, half of the times would be a millisecond too early.
    pub fn from_secs_and_nanos(secs: i64, nanos: u32) -> Self {
        Self(secs.saturating_mul(1000).saturating_add((i64::from(nanos) + 500_000) / 1_000_000))
    }

    /// Parses RFC 3339, the format of times in an invocation record.
    pub fn parse(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }

    pub fn millis(self) -> i64 {
        self.0
    }

    /// Milliseconds from `earlier` to this timestamp. Negative if `earlier` is later.
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-21T02:51:00.123Z`.
    pub fn rfc3339(self) -> String {
        self.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"))
    }

    /// The same without milliseconds: `2026-11-21T02:51:00Z`.
    pub fn rfc3339_seconds(self) -> String {
        self.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"))
    }

    /// `yyyy/mm/dd/yyyy-mm-ddThh.mm.ss` in UTC, as in the keys of the objects that Lambda writes.
    pub fn object_time(self) -> String {
        let time = format_description!("[year]-[month]-[day]T[hour].[minute].[second]");
        format!("{}/{}", self.date_path(), self.format(time))
    }

    /// `yyyy/mm/dd` in UTC, for object keys.
    pub fn date_path(self) -> String {
        self.format(format_description!("[year]/[month]/[day]"))
    }

    fn format(self, description: &[time::format_description::BorrowedFormatItem<'_>]) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(description).ok())
            .unwrap_or_else(|| "0000-00-00T00:00:00.000Z".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_s_truncated_floats_round_to_their_millisecond() {
        assert_eq!(Timestamp::from_secs_and_nanos(1545084650, 986_999_988).millis(), 1545084650987);
        assert_eq!(Timestamp::from_secs_and_nanos(1545084650, 999_999_999).millis(), 1545084651000);
    }

    #[test]
    fn both_precisions_of_the_invocation_record_are_read() {
        let millis = Timestamp::parse("2023-12-10T22:42:50.398Z").unwrap();
        assert_eq!(millis.rfc3339(), "2023-12-10T22:42:50.398Z");
        assert_eq!(Timestamp::parse("2023-12-10T22:58:57Z").unwrap().date_path(), "2023/12/10");
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
