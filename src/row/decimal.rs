//! Exact decimal numbers: the only reader of decimal texts, and the measure of tolerances.
//!
//! Differences are computed neither in binary floating point nor by rounding to a grid: for values exactly
//! at the tolerance both would be right only sometimes. A binary float has an exact decimal form too, so
//! floats are measured the same way.

use std::cmp::Ordering;

use super::numeric::{Numeric, NumericClass};

/// The base of PostgreSQL's `numeric`: four decimal places for each digit.
const BASE: i64 = 10_000;

/// The highest power of ten that a tolerance may be written with.
const LARGEST_POWER: i32 = 2_000;

/// The most places of whole units: a hundred times 10 to this power fits 128 bits.
const MAX_PLACES: u32 = 36;

/// A finite decimal number, exact whatever its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Digits of base 10,000, the lowest first.
    digits: Vec<u16>,
    /// The lowest digit counts 10,000 to this power.
    lowest: i32,
}

impl Decimal {
    /// Makes `value` times 10,000 to the power `lowest`: `of(5, 0)` is 5, `of(5, -1)` is 0.0005.
    pub fn of(value: i128, lowest: i32) -> Decimal {
        let (negative, mut rest) = (value < 0, value.unsigned_abs());
        let mut digits = Vec::new();
        while rest > 0 {
            digits.push((rest % BASE as u128) as u16);
            rest /= BASE as u128;
        }
        Decimal { negative, digits, lowest }
    }

    /// Reads the binary form of `numeric`. Returns `None` for NaN and the infinities.
    pub fn numeric(bytes: &[u8]) -> Option<Decimal> {
        let Numeric { class, weight, digits } = Numeric::read(bytes)?;
        let negative = match class {
            NumericClass::Zero | NumericClass::Positive => false,
            NumericClass::Negative => true,
            NumericClass::NegativeInfinity | NumericClass::Infinity | NumericClass::NotANumber => {
                return None;
            }
        };
        let (digits, _) = digits.as_chunks::<2>();
        let lowest = i32::from(weight) + 1 - i32::try_from(digits.len()).ok()?;
        let digits = digits.iter().rev().map(|digit| u16::from_be_bytes(*digit)).collect();
        Some(Decimal { negative, digits, lowest })
    }

    /// Returns the exact value of a float; `None` for NaN and the infinities.
    pub fn float(value: f64) -> Option<Decimal> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
        let (mantissa, power) = match exponent {
            0 => (fraction, -1074),
            exponent => (fraction | 1 << 52, exponent - 1075),
        };
        // A fraction of few bits is a decimal of few digits.
        let zeros = if mantissa == 0 { 0 } else { mantissa.trailing_zeros() };
        let power = power + zeros.cast_signed();
        let mut number = Decimal::of(i128::from(mantissa >> zeros), 0);
        if power >= 0 {
            number.multiply(2, power.unsigned_abs());
        } else {
            // m / 2^k = m * 5^k / 10^k, and the point has to fall between two digits.
            let halvings = power.unsigned_abs();
            let places = halvings.div_ceil(4);
            number.multiply(5, halvings);
            number.multiply(10, 4 * places - halvings);
            number.lowest = -places.cast_signed();
        }
        number.negative = value.is_sign_negative();
        Some(number)
    }

    /// Parses a text: `5`, `0.005`, `1e-6`. Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (number, power) = match text.split_once(['e', 'E']) {
            Some((number, power)) => (number, power.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (whole, places) = number.split_once('.').unwrap_or((number, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = power.abs() <= LARGEST_POWER && number.len() <= LARGEST_POWER as usize;
        if whole.is_empty() || number.ends_with('.') || !fits || !plain(whole) || !plain(places) {
            return None;
        }
        let power = power - places.len() as i32;
        let mut read = Decimal { negative, digits: Vec::new(), lowest: power.div_euclid(4) };
        for digit in whole.bytes().chain(places.bytes()) {
            read.multiply(10, 1);
            read.add_small(u16::from(digit - b'0'));
        }
        read.multiply(10, power.rem_euclid(4).unsigned_abs());
        Some(read)
    }

    /// Returns whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative && self.digits.iter().any(|digit| *digit > 0)
    }

    /// Returns the number as whole units of 10^-`places`, without zeros at the end where there are
    /// places; `None` if the units need more than 38 digits, or there are more than 36 places.
    pub fn to_units(&self) -> Option<(i128, u32)> {
        let mut units: i128 = 0;
        for digit in self.digits.iter().rev() {
            units = units.checked_mul(i128::from(BASE))?.checked_add(i128::from(*digit))?;
        }
        if units == 0 {
            return Some((0, 0));
        }
        let mut places = -4 * i64::from(self.lowest);
        while places > 0 && units % 10 == 0 {
            (units, places) = (units / 10, places - 1);
        }
        if places < 0 {
            let zeros = u32::try_from(-places).ok()?;
            (units, places) = (units.checked_mul(10_i128.checked_pow(zeros)?)?, 0);
        }
        let places = u32::try_from(places).ok().filter(|places| *places <= MAX_PLACES)?;
        Some((if self.negative { -units } else { units }, places))
    }

    /// Returns whether the difference of two numbers is at most a tolerance.
    pub fn within(&self, other: &Decimal, tolerance: &Decimal) -> bool {
        sign_of([(1, self), (-1, other), (-1, tolerance)]).is_le()
            && sign_of([(1, other), (-1, self), (-1, tolerance)]).is_le()
    }

    /// Multiplies by a small number, so many times.
    fn multiply(&mut self, by: u32, times: u32) {
        let mut left = times;
        while left > 0 {
            let mut factor = u64::from(by);
            left -= 1;
            while left > 0 && factor * u64::from(by) < 1 << 32 {
                factor *= u64::from(by);
                left -= 1;
            }
            let mut carry = 0;
            for digit in &mut self.digits {
                let product = u64::from(*digit) * factor + carry;
                *digit = (product % BASE as u64) as u16;
                carry = product / BASE as u64;
            }
            while carry > 0 {
                self.digits.push((carry % BASE as u64) as u16);
                carry /= BASE as u64;
            }
        }
    }

    /// Adds a number below ten to one whose last decimal digit is zero.
    fn add_small(&mut self, value: u16) {
        match self.digits.first_mut() {
            Some(lowest) => *lowest += value,
            None => self.digits.push(value),
        }
    }
}

/// Returns the sign of a sum. The digits of each place are added first, and carried once at the end.
fn sign_of(terms: [(i64, &Decimal); 3]) -> Ordering {
    let held = || terms.iter().map(|(_, term)| term).filter(|term| !term.digits.is_empty());
    let lowest = held().map(|term| term.lowest).min().unwrap_or(0);
    let end = held().map(|term| term.lowest + term.digits.len() as i32).max().unwrap_or(lowest);
    let mut places = vec![0_i64; (end - lowest) as usize];
    for (sign, term) in terms {
        let sign = if term.negative { -sign } else { sign };
        let from = term.lowest.saturating_sub(lowest).max(0) as usize;
        for (place, digit) in places.iter_mut().skip(from).zip(&term.digits) {
            *place += sign * i64::from(*digit);
        }
    }
    let mut carry = 0;
    let mut any = false;
    for place in places {
        let sum = place + carry;
        any |= sum.rem_euclid(BASE) != 0;
        carry = sum.div_euclid(BASE);
    }
    match carry {
        0 if any => Ordering::Greater,
        0 => Ordering::Equal,
        carry => carry.cmp(&0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    /// Test numbers have up to 30 digits, and are whole numbers of units of 10^-12.
    const UNITS: u32 = 12;

    fn text(units: i128) -> String {
        let one = 10_i128.pow(UNITS);
        let (whole, part) =
            (units.unsigned_abs() / one as u128, units.unsigned_abs() % one as u128);
        format!("{}{whole}.{part:012}", if units < 0 { "-" } else { "" })
    }

    /// Returns `numeric_send` of a whole number of units, computed independently: the text's digits in
    /// groups of four around the point, without zeros at either end.
    fn numeric_send(units: i128) -> Vec<u8> {
        let all = format!("{:032}", units.unsigned_abs());
        let groups: Vec<u16> = (0..8).map(|at| all[4 * at..4 * at + 4].parse().unwrap()).collect();
        let first = groups.iter().position(|group| *group > 0);
        let last = groups.iter().rposition(|group| *group > 0);
        let (Some(first), Some(last)) = (first, last) else { return vec![0; 8] };
        // The last three groups are the twelve places behind the point.
        let weight = 4 - first as i16;
        let sign = if units < 0 { 0x4000 } else { 0 };
        let words = [(last - first + 1) as u16, weight.cast_unsigned(), sign, 12];
        let words = words.into_iter().chain(groups[first..=last].iter().copied());
        words.flat_map(u16::to_be_bytes).collect()
    }

    #[test]
    fn texts_are_parsed_exactly() {
        assert!(read("0.3").within(&read("0.1"), &read("0.2")));
        assert!(!read("0.3").within(&read("0.1"), &read("0.1999999999999999999999999")));
        assert!(read("1e-6").within(&read("0.000001"), &read("0")));
        assert!(read("12e3").within(&read("12000.000"), &read("0e9")));
        assert!(read("-1").within(&read("1"), &read("2")) && read("-0.1").is_negative());
        assert!(!read("-0").is_negative());
        for wrong in ["", ".5", "5.", "1s", "1,5", "+1", "--1", "1e", "e1", "1e99999", "NaN", " 1"]
        {
            assert_eq!(Decimal::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_number_is_whole_units_of_a_power_of_ten() {
        let units = |text: &str| read(text).to_units();
        assert_eq!(units("-12.3400"), Some((-1234, 2)));
        assert_eq!(units("5e3"), Some((5000, 0)));
        assert_eq!(units("-0.00"), Some((0, 0)));
        assert_eq!(units("0.00010"), Some((1, 4)));
        assert_eq!(units("1e38"), Some((10_i128.pow(38), 0)));
        assert_eq!(units("1e-36"), Some((1, 36)));
        for text in ["1e39", "1e-37", &"9".repeat(60)] {
            assert_eq!(units(text), None, "{text}");
        }
    }

    #[test]
    fn floats_have_their_exact_value() {
        let tenth = "0.1000000000000000055511151231257827021181583404541015625";
        let float = |value: f64| Decimal::float(value).unwrap();
        assert!(float(0.1).within(&read(tenth), &read("0")));
        assert!(!float(0.1).within(&read("0.1"), &read("5.5511151231257827e-18")));
        assert!(float(-2.5e10).within(&read("-25000000000"), &read("0")));
        assert!(float(0.0).within(&float(-0.0), &read("0")));
        // one unit in the last place
        let (low, high) = (1.0_f64, 1.0_f64.next_up());
        assert!(float(low).within(&float(high), &float(f64::EPSILON)));
        assert!(!float(low).within(&float(high), &float(f64::EPSILON.next_down())));
        let tiny = f64::from_bits(1);
        assert!(
            !float(0.0).within(&float(tiny), &read("0"))
                && float(tiny).within(&float(tiny), &read("0"))
        );
        assert!(float(f64::MAX).within(&float(f64::MIN), &read("4e308")));
        assert!(!float(f64::MAX).within(&float(f64::MIN), &read("3e308")));
        assert_eq!(Decimal::float(f64::NAN), None);
        assert_eq!(Decimal::float(f64::NEG_INFINITY), None);
    }

    #[test]
    fn only_finite_numerics_are_numbers() {
        for sign in [0xC000_u16, 0xD000, 0xF000] {
            let words = [0, 0, sign, 0];
            let bytes: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
            assert_eq!(Decimal::numeric(&bytes), None);
        }
        assert!(Decimal::numeric(&numeric_send(0)).unwrap().within(&read("0"), &read("0")));
        assert_eq!(Decimal::numeric(&[0; 7]), None);
        assert_eq!(Decimal::numeric(&[0, 1, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn numbers_of_very_different_size_are_compared() {
        let large = Decimal { negative: false, digits: vec![1], lowest: 32_000 };
        let small = Decimal { negative: false, digits: vec![1], lowest: -4_000 };
        assert!(!large.within(&small, &read("1e2000")));
        assert!(small.within(&Decimal::of(0, 0), &small));
    }

    fn units() -> impl Strategy<Value = i128> {
        let any = -10_i128.pow(29)..10_i128.pow(29);
        // close to each other, at carries, and anywhere
        prop_oneof![any, -30_000..30_000_i128, (0..20_i128).prop_map(|n| 10_i128.pow(20) - 10 + n)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whole numbers of one unit are the oracle: their difference is a subtraction of integers.
        #[test]
        fn a_difference_is_that_of_whole_numbers(a in units(), b in units(), slack in -2..=2_i128) {
            let tolerance = ((a - b).abs() + slack).max(0);
            let expected = (a - b).abs() <= tolerance;
            let bound = read(&text(tolerance));
            let (x, y) = (Decimal::numeric(&numeric_send(a)), Decimal::numeric(&numeric_send(b)));
            let (x, y) = (x.unwrap(), y.unwrap());
            prop_assert_eq!(x.within(&y, &bound), expected);
            prop_assert_eq!(y.within(&x, &bound), expected);
            prop_assert_eq!(x.within(&read(&text(b)), &bound), expected);
            prop_assert_eq!(Decimal::of(a, -3).within(&y, &bound), expected);
        }

        /// A float's text is parsed as a number closest to that float.
        #[test]
        fn a_float_lies_within_half_a_step_of_its_text(value in any::<f64>()) {
            prop_assume!(value.is_finite() && value.abs() < 1e300);
            let exact = Decimal::float(value).unwrap();
            let step = Decimal::float(value.abs().next_up() - value.abs()).unwrap();
            let shown = read(&format!("{value:e}"));
            prop_assert!(exact.within(&shown, &step));
            let beside = Decimal::float(if value > 0.0 { value.next_up() } else { value.next_down() });
            prop_assert!(!beside.unwrap().within(&exact, &Decimal::of(0, 0)));
        }
    }
}
