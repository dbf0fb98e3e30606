//! Text of a template with `{{marks}}` in it.

use std::borrow::Cow;

use super::fields::Report;
use crate::{
    diagnostic::Position,
    expression::{Ambient, EvaluationError, ExpressionError, Interpolated, Lookup},
};

/// Text that may have marks. Text without any costs nothing to render.
#[derive(Debug, Clone)]
pub struct Text {
    source: String,
    marks: Option<Interpolated>,
}

impl Text {
    /// Parses text and reports what is wrong with its marks. A mark that is no expression is literal: template engines of web
    /// pages use the same braces.
    pub(crate) fn read(source: &str, at: Position, report: &Report) -> Option<Text> {
        match Text::parse(source) {
            Ok(text) => Some(text),
            Err(error) => {
                report.expression(at, source, &error);
                None
            }
        }
    }

    /// Text without marks.
    pub fn literal(source: &str) -> Text {
        Text { source: source.to_owned(), marks: None }
    }

    /// Parses text with marks.
    ///
    /// # Errors
    /// When the text is too long or a mark calls a function that cannot be called.
    pub fn parse(source: &str) -> Result<Text, ExpressionError> {
        if !source.contains("{{") && !source.contains('§') {
            return Ok(Text::literal(source));
        }
        let marks = Interpolated::parse(source)?;
        let marks = marks.is_literal().is_none().then_some(marks);
        Ok(Text { source: source.to_owned(), marks })
    }

    /// As the template has it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The variables that its marks name.
    pub fn variables(&self) -> Vec<&str> {
        self.marks.iter().flat_map(Interpolated::variables).collect()
    }

    /// True when rendering never changes it.
    pub fn is_literal(&self) -> bool {
        self.marks.is_none()
    }

    /// The text with its marks replaced by their values.
    ///
    /// # Errors
    /// When a mark has no value.
    pub fn render(
        &self,
        lookup: &Lookup<'_, '_>,
        ambient: &Ambient,
    ) -> Result<Cow<'_, [u8]>, EvaluationError> {
        match &self.marks {
            None => Ok(Cow::Borrowed(self.source.as_bytes())),
            Some(marks) => marks.render(lookup, ambient).map(Cow::Owned),
        }
    }
}
