//! One pass over markup with a tokenizer; no tree is built.

use std::{collections::BTreeSet, convert::Infallible, ops::Range};

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

use super::{
    header::{refresh, srcset},
    link::{FormMethod, LONGEST_URL, LinkKind, MOST_REFERENCES, RawLink, script_kind, style_kind},
    literal, style,
};

/// Attributes looked at in one element.
const MOST_ATTRIBUTES: usize = 128;
/// Bytes looked at in one attribute.
const LONGEST_ATTRIBUTE: usize = 64 << 10;
/// Forms of one document, and fields of one form.
const MOST_FORMS: usize = 100;
const MOST_FIELDS: usize = 200;
/// Distinct element names kept for comparing pages.
const MOST_ELEMENTS: usize = 256;
/// Characters of a title, a generator, a field name.
const LONGEST_TEXT: usize = 256;

/// What a document contains, unresolved.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    /// The first `base href`.
    pub base: Option<String>,
    /// The first title.
    pub title: Option<String>,
    /// Generator and application name.
    pub generators: Vec<String>,
    /// `src` of scripts.
    pub scripts: Vec<String>,
    /// Everything that refers to something.
    pub links: Vec<RawLink>,
    /// Forms.
    pub forms: Vec<RawForm>,
    /// Distinct element names, sorted.
    pub elements: Vec<String>,
}

/// A form, unresolved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawForm {
    /// As it stands there.
    pub action: Option<String>,
    /// How it is sent.
    pub method: FormMethod,
    /// Name and kind.
    pub fields: Vec<(String, String)>,
}

/// Reads any text as markup.
pub(super) fn read(text: &str) -> Document {
    let mut reader = Reader::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| -> Option<Infallible> {
        reader.event(event);
        None
    });
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(text, emitter).finish();
    reader.document.elements = reader.elements.into_iter().collect();
    reader.document
}

/// Whose text comes next.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Text {
    #[default]
    Plain,
    Title,
    Script,
    Json,
    Style,
}

#[derive(Default)]
struct Reader {
    document: Document,
    elements: BTreeSet<String>,
    element: String,
    /// Names and values of the current element's attributes, one after the other.
    buffer: String,
    attributes: Vec<(Range<usize>, Range<usize>)>,
    text: Text,
    in_form: bool,
}

impl Reader {
    fn event(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.element.clear();
                push_lossy(&mut self.element, name, 64);
                self.buffer.clear();
                self.attributes.clear();
            }
            CallbackEvent::AttributeName { name } => {
                if self.attributes.len() < MOST_ATTRIBUTES {
                    let name = push_lossy(&mut self.buffer, name, 128);
                    let end = name.end;
                    self.attributes.push((name, end..end));
                }
            }
            CallbackEvent::AttributeValue { value } => {
                let range = push_lossy(&mut self.buffer, value, LONGEST_ATTRIBUTE);
                if let Some((_, value)) = self.attributes.last_mut().filter(|(_, value)| value.is_empty()) {
                    *value = range;
                }
            }
            CallbackEvent::CloseStartTag { .. } => self.open(),
            CallbackEvent::EndTag { name } => {
                self.attributes.clear();
                self.text = Text::Plain;
                if name.eq_ignore_ascii_case(b"form") {
                    self.in_form = false;
                }
            }
            CallbackEvent::String { value } => self.content(&String::from_utf8_lossy(value)),
            CallbackEvent::Comment { value } => {
                literal::scan_comment(&String::from_utf8_lossy(value), |text| {
                    push_link(&mut self.document.links, LinkKind::Hint, text);
                });
            }
            CallbackEvent::Doctype { .. } | CallbackEvent::Error(_) => {}
        }
    }

    fn content(&mut self, text: &str) {
        let links = &mut self.document.links;
        match self.text {
            Text::Plain => {}
            Text::Title => {
                if self.document.title.is_none() {
                    self.document.title = Some(collapse(text)).filter(|title| !title.is_empty());
                }
            }
            Text::Script => {
                literal::scan_script(text, |text, likeness| push_link(links, script_kind(likeness), text))
            }
            Text::Json => {
                literal::scan_json(text, |text, likeness| push_link(links, script_kind(likeness), text))
            }
            Text::Style => {
                style::scan_style(text, |text, imported| push_link(links, style_kind(imported), text))
            }
        }
    }

    /// The first attribute of that name, as browsers take it.
    fn attribute(&self, name: &str) -> Option<&str> {
        let (_, value) =
            self.attributes.iter().find(|(key, _)| self.buffer[key.clone()].eq_ignore_ascii_case(name))?;
        Some(&self.buffer[value.clone()])
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.attribute(name).map(str::to_owned)
    }

    fn follow(&mut self, kind: LinkKind, attribute: &str) {
        // Taken apart so that the links can be written while the buffer is read.
        let found =
            self.attributes.iter().find(|(key, _)| self.buffer[key.clone()].eq_ignore_ascii_case(attribute));
        if let Some((_, value)) = found {
            let reference = &self.buffer[value.clone()];
            let script = reference
                .trim_start()
                .get(..11)
                .is_some_and(|start| start.eq_ignore_ascii_case("javascript:"));
            let links = &mut self.document.links;
            if script {
                literal::scan_script(reference, |text, likeness| {
                    push_link(links, script_kind(likeness), text)
                });
            } else {
                push_link(links, kind, reference);
            }
        }
    }

    fn open(&mut self) {
        if self.elements.len() < MOST_ELEMENTS && !self.elements.contains(&self.element) {
            self.elements.insert(self.element.clone());
        }
        self.text = Text::Plain;
        match std::mem::take(&mut self.element).as_str() {
            "a" | "area" => self.follow(LinkKind::Page, "href"),
            "iframe" | "frame" => self.follow(LinkKind::Page, "src"),
            "link" => {
                let kind = link_kind(self.attribute("rel").unwrap_or(""), self.attribute("as").unwrap_or(""));
                self.follow(kind, "href");
                self.candidates("imagesrcset");
            }
            "script" => {
                self.text = script_text(self.attribute("type").unwrap_or(""));
                self.follow(LinkKind::Resource, "src");
                let scripts = &mut self.document.scripts;
                if let Some((_, value)) =
                    self.attributes.iter().find(|(key, _)| &self.buffer[key.clone()] == "src")
                    && scripts.len() < 200
                {
                    scripts.push(self.buffer[value.clone()].chars().take(LONGEST_TEXT).collect());
                }
            }
            "style" => self.text = Text::Style,
            "title" => self.text = Text::Title,
            "base" if self.document.base.is_none() => self.document.base = self.owned("href"),
            "meta" => self.meta(),
            "img" | "source" | "video" | "audio" | "track" | "image" => {
                for attribute in ["src", "poster", "href", "xlink:href", "data-src", "lowsrc"] {
                    self.follow(LinkKind::Media, attribute);
                }
                self.candidates("srcset");
            }
            "embed" => self.follow(LinkKind::Media, "src"),
            "object" => self.follow(LinkKind::Media, "data"),
            "body" | "table" | "td" | "th" | "tr" => self.follow(LinkKind::Media, "background"),
            "html" => self.follow(LinkKind::Resource, "manifest"),
            "use" => {
                self.follow(LinkKind::Media, "href");
                self.follow(LinkKind::Media, "xlink:href");
            }
            "form" => self.form(),
            kind @ ("input" | "select" | "textarea" | "button") => self.field(kind),
            _ => {}
        }
        self.any_element();
    }

    fn meta(&mut self) {
        let content = self.attribute("content").unwrap_or("");
        let is = |attribute: &str, word: &str| {
            self.attribute(attribute).is_some_and(|value| value.trim().eq_ignore_ascii_case(word))
        };
        if is("http-equiv", "refresh") {
            if let Some(target) = refresh(content).map(str::to_owned) {
                push_link(&mut self.document.links, LinkKind::Page, &target);
            }
        } else if is("name", "generator") || is("name", "application-name") {
            if self.document.generators.len() < 8 {
                let generator = collapse(content);
                self.document.generators.push(generator);
            }
        } else if is("property", "og:url") {
            let target = content.to_owned();
            push_link(&mut self.document.links, LinkKind::Page, &target);
        } else if is("property", "og:image")
            || is("name", "msapplication-TileImage")
            || is("name", "twitter:image")
        {
            let target = content.to_owned();
            push_link(&mut self.document.links, LinkKind::Media, &target);
        }
    }

    fn candidates(&mut self, attribute: &str) {
        if let Some(value) = self.owned(attribute) {
            for candidate in srcset(&value).take(50) {
                push_link(&mut self.document.links, LinkKind::Media, candidate);
            }
        }
    }

    fn form(&mut self) {
        let method = match self.attribute("method").unwrap_or("").trim().to_ascii_lowercase().as_str() {
            "post" => FormMethod::Post,
            "dialog" => FormMethod::Dialog,
            _ => FormMethod::Get,
        };
        self.in_form = self.document.forms.len() < MOST_FORMS;
        if self.in_form {
            let action = self.owned("action").filter(|action| action.len() <= LONGEST_URL);
            self.document.forms.push(RawForm { action, method, fields: Vec::new() });
        }
    }

    fn field(&mut self, element: &str) {
        if element == "input" && self.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("image"))
        {
            self.follow(LinkKind::Media, "src");
        }
        let name = self.attribute("name").unwrap_or("").chars().take(LONGEST_TEXT).collect::<String>();
        let kind = match element {
            "input" => self.attribute("type").unwrap_or("text").trim().to_ascii_lowercase(),
            other => other.to_owned(),
        };
        if let Some(form) =
            self.document.forms.last_mut().filter(|form| self.in_form && form.fields.len() < MOST_FIELDS)
            && !name.is_empty()
        {
            form.fields.push((name, kind.chars().take(32).collect()));
        }
    }

    /// What any element may carry: handlers, styles, `data-` attributes.
    fn any_element(&mut self) {
        let links = &mut self.document.links;
        for (key, value) in &self.attributes {
            let (key, value) = (&self.buffer[key.clone()], &self.buffer[value.clone()]);
            let Some(start) = key.get(..2) else { continue };
            if start.eq_ignore_ascii_case("on") && key.len() > 3 {
                literal::scan_script(value, |text, likeness| push_link(links, script_kind(likeness), text));
            } else if key == "style" && value.contains('(') {
                style::scan_style(value, |text, imported| push_link(links, style_kind(imported), text));
            } else if key.starts_with("data-")
                && !key.contains("src")
                && literal::likeness(value) == Some(literal::Likeness::Path)
            {
                push_link(links, LinkKind::Script, value);
            }
        }
    }
}

fn link_kind(relation: &str, destination: &str) -> LinkKind {
    let relation = relation.to_ascii_lowercase();
    let is = |word: &str| relation.split_ascii_whitespace().any(|given| given == word);
    if is("stylesheet") || is("modulepreload") || is("manifest") {
        LinkKind::Resource
    } else if is("icon") || is("apple-touch-icon") || is("mask-icon") || is("apple-touch-startup-image") {
        LinkKind::Media
    } else if is("preload") || is("prefetch") {
        if matches!(destination, "script" | "style" | "fetch" | "document") {
            LinkKind::Resource
        } else {
            LinkKind::Media
        }
    } else {
        LinkKind::Page
    }
}

fn script_text(kind: &str) -> Text {
    let kind = kind.trim().to_ascii_lowercase();
    match kind.as_str() {
        "" | "module" | "text/babel" => Text::Script,
        _ if kind.contains("javascript") || kind.contains("ecmascript") => Text::Script,
        _ if kind.ends_with("json") || kind == "importmap" || kind == "speculationrules" => Text::Json,
        // Templates for scripts: neither markup that is shown nor code.
        _ => Text::Plain,
    }
}

fn push_link(links: &mut Vec<RawLink>, kind: LinkKind, reference: &str) {
    let reference = reference.trim();
    if links.len() < MOST_REFERENCES
        && !reference.is_empty()
        && reference.len() <= LONGEST_URL
        && !reference.starts_with('#')
    {
        links.push(RawLink { kind, reference: reference.to_owned() });
    }
}

fn push_lossy(buffer: &mut String, bytes: &[u8], most: usize) -> Range<usize> {
    let start = buffer.len();
    buffer.push_str(&String::from_utf8_lossy(&bytes[..bytes.len().min(most)]));
    start..buffer.len()
}

fn collapse(text: &str) -> String {
    let mut collapsed = String::new();
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
        if collapsed.len() > LONGEST_TEXT * 4 {
            break;
        }
    }
    collapsed.chars().take(LONGEST_TEXT).collect()
}
