mod examples;
mod model;
