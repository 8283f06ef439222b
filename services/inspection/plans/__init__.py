"""Plans (检查计划): what departments mean to inspect in a year, within the caps."""
