"""Whatever takes a job: assess, rank, correct, fine-tune, ideal corrections, features and transfer."""
