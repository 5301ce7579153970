"""The Spark application that builds the datasets."""
