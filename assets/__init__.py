"""Files that ship with AssistMimic: motion clips and exported policies. Find one with `assistmimic_env.resources`."""
