//! Objects, field by field. A struct says once what its fields are called and how they are written:
//! a [`Visit`] reads them or writes them.

use std::fmt::Display;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::form::Form;

/// What has fields.
pub(super) trait Object {
    /// Visits all of them, in the order in which they are written.
    fn fields(&mut self, visit: &mut Visit<'_, '_>);
}

/// Goes from field to field.
pub(super) enum Visit<'a, 'o> {
    /// Fills them.
    Read(&'a mut Reader),
    /// Writes those that are not as they are when nobody names them.
    Write(&'a mut Writer<'o>),
    /// Writes them all.
    WriteAll(&'a mut Writer<'o>),
}

impl Visit<'_, '_> {
    /// A field that must be named.
    pub(super) fn need<T: Copy>(&mut self, name: &'static str, form: Form<T>, value: &mut T) {
        match self {
            Self::Read(reader) => reader.need(name, form, value),
            Self::Write(to) | Self::WriteAll(to) => to.field(name, form, *value),
        }
    }

    /// A field that has its default where nobody names it.
    pub(super) fn may<T: Copy + PartialEq + Default>(
        &mut self,
        name: &'static str,
        form: Form<T>,
        value: &mut T,
    ) {
        self.unless(name, form, T::default(), value);
    }

    /// A field that is `usual` where nobody names it.
    pub(super) fn unless<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        form: Form<T>,
        usual: T,
        value: &mut T,
    ) {
        match self {
            Self::Read(reader) => {
                *value = usual;
                reader.may(name, form, value);
            }
            Self::Write(_) if *value == usual => {}
            Self::Write(to) | Self::WriteAll(to) => to.field(name, form, *value),
        }
    }
}

/// The fields of an object as they came. None comes twice.
pub(super) struct Pairs<V>(pub(super) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Pairs(Vec::new()))
    }
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if self.0.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!("{name:?} is there twice")));
            }
            self.0.push((name, map.next_value()?));
        }
        Ok(self)
    }
}

/// Reads the fields of one object.
pub(super) struct Reader {
    /// What the object is called.
    object: &'static str,
    /// Those that nobody asked for yet.
    fields: Vec<(String, Value)>,
    known: Vec<&'static str>,
    error: Option<String>,
}

impl Reader {
    /// Reads an object into `into`, which is called `object`.
    pub(super) fn read(
        object: &'static str,
        fields: Pairs<Value>,
        into: &mut dyn Object,
    ) -> Result<(), String> {
        let mut reader = Self { object, fields: fields.0, known: Vec::new(), error: None };
        into.fields(&mut Visit::Read(&mut reader));
        // First what is not known: it explains what is missing.
        if let Some((name, _)) = reader.fields.first() {
            let known = match reader.known.len() {
                0 => "no fields".to_owned(),
                _ => reader.known.join(", "),
            };
            return Err(format!("{object} has no field {name:?}: it has {known}"));
        }
        reader.error.map_or(Ok(()), Err)
    }

    fn need<T>(&mut self, name: &'static str, form: Form<T>, value: &mut T) {
        if !self.may(name, form, value) {
            let object = self.object;
            self.error
                .get_or_insert_with(|| format!("{object} needs {name}: {}", (form.allowed)()));
        }
    }

    /// Whether it is named.
    fn may<T>(&mut self, name: &'static str, form: Form<T>, value: &mut T) -> bool {
        self.known.push(name);
        let Some(at) = self.fields.iter().position(|(field, _)| field == name) else {
            return false;
        };
        let (_, text) = self.fields.swap_remove(at);
        if let Some(read) = (form.read)(&text) {
            *value = read;
        } else {
            let (object, shown) = (self.object, shortened(&text));
            self.error.get_or_insert_with(|| {
                format!("{object}.{name} is {shown}: expected {}", (form.allowed)())
            });
        }
        true
    }
}

/// No more of a value than an error needs.
fn shortened(value: &Value) -> String {
    const SHOWN: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

/// Writes one object.
pub(super) struct Writer<'o> {
    out: &'o mut String,
    empty: bool,
}

impl<'o> Writer<'o> {
    /// Writes an object of the fields that `fields` adds.
    pub(super) fn object(out: &'o mut String, fields: impl FnOnce(&mut Writer<'_>)) {
        out.push('{');
        fields(&mut Writer { out, empty: true });
        out.push('}');
    }

    /// Begins a field. Names need no escapes: they are ours.
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    pub(super) fn field<T>(&mut self, name: &str, form: Form<T>, value: T) {
        self.name(name);
        (form.write)(value, self.out);
    }

    /// A field whose value is its own JSON: a signed number, say.
    pub(super) fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.out.push_str(&value.to_string());
    }

    /// A field that is an object.
    pub(super) fn within(&mut self, name: &str, fields: impl FnOnce(&mut Writer<'_>)) {
        self.name(name);
        Writer::object(self.out, fields);
    }

    /// A field that is a list of objects.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        fields: impl Fn(&mut Writer<'_>, T),
    ) {
        self.name(name);
        self.out.push('[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            Writer::object(self.out, |to| fields(to, item));
        }
        self.out.push(']');
    }
}
