"""Models that are an adapter beside a base: begin one, open its base, merge it."""
