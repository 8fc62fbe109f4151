-- The orchestrator keeps them now, together with those of all other places.
DROP TABLE dead_letters;
