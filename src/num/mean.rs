//! The mean of some numbers, from their sum.

/// `total / count`, rounded to nearest, ties up; magnitudes of the mean below `2^31`, and `1 <= count < 2^31`.
///
/// Exact. The division is one of unsigned numbers, which small cores have anyway for other work: the mean is lifted above
/// zero first.
pub fn mean(total: i64, count: u64) -> i32 {
    const LIFT: i64 = 1 << 31;
    debug_assert!(count < 1 << 31);
    let count = count.max(1);
    let lifted = (2 * (total + count as i64 * LIFT) as u64 + count) / (2 * count);
    (lifted as i64 - LIFT) as i32
}
