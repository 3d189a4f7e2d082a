//! Which characters count as nothing.
//!
//! Two sets, because the questions differ: what may be taken off the end of a message without a
//! loss, and what a message must not consist of alone. The second is wider on purpose: a joiner or
//! a variation selector shapes the character before it, so it stays at the end of a message, but a
//! message of nothing else is refused as empty.

/// Whitespace and its invisible kin that no other character depends on. Platforms trim them off
/// the ends of a message.
pub(crate) fn is_spacing(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{180E}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}')
}

/// Characters that leave no mark when they stand alone.
pub(crate) fn is_blank(c: char) -> bool {
    is_spacing(c)
        || c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200C}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2061}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}
