"""Stand-ins and checks that several tests share."""
