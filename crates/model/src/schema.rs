//! How types that are written as texts are described in the API's document.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use crate::{CheckId, KeyPrefix, Money, PortSet, ScanId, Target, WorkerPrice};

macro_rules! texts {
    ($($name:ident: $description:literal, $example:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($description))
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

texts! {
    CheckId: "the id of a check template", "git-config";
    KeyPrefix: "the eight hexadecimal digits that a key begins with, after `rampart_`", "0a1b2c3d";
    Money: "an amount, with at most six decimals", "12.50";
    PortSet: "ports and ranges of them", "80,443,8000-8100";
    ScanId: "16 hexadecimal digits", "631fc225273b1a24";
    Target: "a name, an address, a network, one port of a host, or a URL", "www.example.com";
    WorkerPrice: "what it costs that a worker holds one task for an hour", "0.05";
}
