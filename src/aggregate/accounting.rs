//! How row counts move from one fate to another. Whatever moves, they balance (contract 15).

use crate::state::keys::Accounting;

impl Accounting {
    /// Different rows of the open attempt, whatever became of them: what an end-of-file marker counts.
    pub fn distinct(&self) -> u64 {
        self.written + self.rejected + self.filtered + self.waiting
    }

    /// The attempt is given up for another one: of its rows nothing stands in the workbook, not even that they failed.
    pub(super) fn void_attempt(&mut self) {
        self.voided += self.distinct();
        (self.written, self.rejected, self.filtered, self.waiting) = (0, 0, 0, 0);
    }

    /// There will be no workbook: rows that were meant for it are void; those that failed did fail.
    pub(super) fn void_workbook(&mut self) {
        self.voided += self.written + self.waiting;
        (self.written, self.waiting) = (0, 0);
    }

    /// `rows` more came for an upload that has failed.
    pub(super) fn void_rows(&mut self, rows: u64) {
        self.rows_in += rows;
        self.voided += rows;
    }

    /// One more row came after completion.
    pub(super) fn late_row(&mut self) {
        self.rows_in += 1;
        self.late += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_move_keeps_the_balance() {
        let mut rows = Accounting {
            rows_in: 15,
            written: 5,
            rejected: 4,
            duplicate: 3,
            waiting: 2,
            filtered: 1,
            ..Default::default()
        };
        assert!(rows.balances());
        assert_eq!(rows.distinct(), 12);
        let mut failed = rows;
        failed.void_workbook();
        assert_eq!((failed.voided, failed.rejected, failed.balances()), (7, 4, true));
        rows.void_attempt();
        assert_eq!((rows.voided, rows.distinct(), rows.balances()), (12, 0, true));
        rows.void_rows(3);
        rows.late_row();
        assert_eq!((rows.rows_in, rows.balances()), (19, true));
    }
}
